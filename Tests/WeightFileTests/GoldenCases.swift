import TesseraWeightFile

/// The content of `Formats/golden`.
enum GoldenModels {
    static let all: [(name: String, model: TinyModel)] = [
        ("int4", TinyModel()), ("int8-everything", everything), ("int4Affine", affine),
        ("f16", TinyModel(encoding: .f16)), ("f32-two-tiles", twoTiles), ("example", example),
        ("int4-coded", coded(.int4)), ("int8-coded", coded(.int8)),
        ("int4Affine-coded", tinyCoded), ("int8-rans", coded(.int8, .rans)),
        ("int4-rans", coded(.int4, .rans)), ("int8-trellis", coded(.int8, .trellis)),
        ("planes", planes), ("layers", layers), ("added-tokens", addedTokens),
        ("sentencepiece", sentencePiece), ("drafter", drafter),
        ("drafter-plain", plainDrafter),
    ]

    /// A tensor of each encoding whose codes lie in planes of bits or whose scales are integers, of two super-groups
    /// with an odd number of groups.
    static var planes: TinyModel {
        var model = TinyModel(encoding: .int4Nested)
        for code in UInt32(6)...12 {
            guard let encoding = TensorEncoding(rawValue: code) else { continue }
            model.tensors.append(
                TensorSpec(name: "of \(encoding)", rows: 19, columns: 330, encoding: encoding))
        }
        return model
    }

    static var tinyCoded: TinyModel { TinyModel(encoding: .int4Affine, storage: .zstd) }
    static var tinyTrellis: TinyModel { TinyModel(encoding: .int8, storage: .trellis) }

    /// Coded matrices, one of them of three tiles of several panels.
    static func coded(_ encoding: TensorEncoding, _ storage: StorageClass = .zstd) -> TinyModel {
        var model = TinyModel(encoding: encoding, storage: storage)
        model.tensors.append(
            TensorSpec(
                name: "tiles", rows: encoding == .int8 ? 4000 : 8000, columns: 33,
                encoding: encoding, storage: storage))
        return model
    }

    /// Every flag set, every optional field in use.
    static var everything: TinyModel {
        var model = TinyModel()
        model.config.name = "tiny – every field"
        model.config.modelType = "qwen3"
        model.config.headDim = 6
        model.config.embeddingScale = 25.25
        model.config.rmsNormEps = 1e-6
        model.config.queryScaling = .init(beta: 0.1, originalMaxPositions: 16)
        model.config.setEveryLayerField()
        model.config.tieWordEmbeddings = false
        model.config.blockDecoding = .init(
            maskToken: 5, blockSize: 32, shiftedLogits: true, bidirectionalCommit: true,
            confidenceThreshold: 0.9)
        model.config.sampling.temperature = 0.7
        model.config.sampling.topK = 20
        model.config.sampling.topP = 0.8
        model.tokenizer.preTokenizer = .qwen2
        model.tokenizer.ignoreMerges = true
        model.tokenizer.normalizesNFC = true
        model.tokenizer.addsBOS = true
        model.tokenizer.padToken = 3
        model.tokenizer.unknownToken = 0
        model.tokenizer.eosTokens = [4, 3]
        model.setTensors(encoding: .int8)
        return model
    }

    /// Runs of one and of several layers, with each kind of norm.
    static var layers: TinyModel {
        var model = TinyModel()
        model.config.rotaryTables = [
            RotaryTable([1, 0.5], attentionFactor: 1.5), RotaryTable([0, 0]),
        ]
        var sliding = model.config.layers[0]
        (sliding.window, sliding.rotary, sliding.activation) = (9, 1, .geluTanh)
        (sliding.norms, sliding.queryKeyNorm) = (.both, .perHead)
        var whole = model.config.layers[0]
        (whole.norms, whole.queryKeyNorm) = (.after, .wholeProjection)
        model.config.layers += [sliding, sliding, whole, sliding]
        model.setTensors(encoding: .int4)
        return model
    }

    /// Every way to match an added token, and end tokens without a name.
    static var addedTokens: TinyModel {
        var model = TinyModel()
        model.tokenizer.kinds[3] = .added
        model.tokenizer.kinds[4] = .special
        model.tokenizer.addedFlags = [
            3: [.stripsLeft, .normalized], 4: [.stripsRight, .singleWord],
        ]
        model.tokenizer.namesBOS = false
        model.tokenizer.namesEOS = false
        return model
    }

    /// Bytes, merges of one rank, and a space in front.
    static var sentencePiece: TinyModel {
        var model = TinyModel()
        let texts = ["<s>", "\n", " ", "a", "b", " a", "ab", " ab"]
        model.config.vocabularySize = texts.count
        model.tokenizer = TokenizerTables(
            tokens: texts.map { Array($0.utf8) },
            kinds: [.special, .byte] + Array(repeating: .normal, count: 6),
            merges: [
                .init(left: 2, right: 3, result: 5),
                .init(left: 3, right: 4, result: 6, sharesRank: true),
                .init(left: 5, right: 4, result: 7),
                .init(left: 2, right: 6, result: 7, sharesRank: true),
            ])
        model.tokenizer.preTokenizer = .sentencePiece
        model.tokenizer.spacePrefix = .section
        model.tokenizer.bosToken = 0
        model.setTensors(encoding: .int4)
        return model
    }

    /// A pattern, no template, more than one group of columns.
    static var affine: TinyModel {
        var model = TinyModel()
        model.config.hiddenSize = 40
        model.config.headCount = 3
        model.tokenizer.preTokenizer = .regex
        model.tokenizer.pattern = "\\p{L}+|ß"
        model.chatTemplate = nil
        model.setTensors(encoding: .int4Affine)
        return model
    }

    /// A tensor of more than 64 KiB, no tokenizer.
    static var twoTiles: TinyModel {
        var model = TinyModel()
        model.config.vocabularySize = 600
        model.config.hiddenSize = 32
        model.tokenizer = TokenizerTables()
        model.setTensors(encoding: .f32)
        return model
    }

    /// The worked example of Formats/TSR.md §10 as a further tensor.
    static var example: TinyModel {
        var model = TinyModel()
        model.tensors.append(TensorSpec(name: "example", rows: 1, columns: 9, encoding: .int4))
        var bytes: [UInt8] = [0x00, 0x34] + [UInt8](repeating: 0, count: 62)
        bytes += [0x40, 0x51, 0x62, 0xF3] + [UInt8](repeating: 0x88, count: 60)
        bytes += [0x89] + [UInt8](repeating: 0x88, count: 191)
        model.fixed["example"] = bytes
        return model
    }
}

extension ModelConfig {
    /// For a head of 6 dimensions, or of the table's.
    mutating func setEveryLayerField() {
        let frequencies = Array([1, 0.1, 0].prefix(headDim / 2))
        rotaryTables = [
            RotaryTable(frequencies, longestContext: 32),
            RotaryTable(frequencies.map { $0 / 2 }, attentionFactor: 1.25),
        ]
        layers[0].norms = .both
        layers[0].queryKeyNorm = .perHead
        layers[0].activation = .geluTanh
        layers[0].rotary = 1
        layers[0].window = 7
        layers[0].attentionScale = 0.3
        layers[0].attentionBias = true
    }
}

/// The content of `Formats/golden-errors`: one broken rule each.
enum GoldenErrors {
    struct Case: Sendable {
        let rule: ValidationRule
        let label: String
        var model = TinyModel()
        /// Whether the metadata checksums are made right after `damage`.
        var seals = true
        let damage: @Sendable (inout FileBytes) -> Void

        /// E.g. `merges-unknown-id.tsr`.
        var fileName: String { "\(rule)-\(label).tsr" }

        func fileBytes() throws -> [UInt8] {
            var file = FileBytes(try model.fileBytes())
            damage(&file)
            if seals { file.seal() }
            return file.bytes
        }
    }

    static let all = header + config + drafter + tokenizer + directory + data

    private static let header: [Case] = [
        Case(rule: .fileTooShort, label: "empty", seals: false) { $0.bytes = [] },
        Case(rule: .fileTooShort, label: "191-bytes", seals: false) {
            $0.bytes.removeLast($0.bytes.count - 191)
        },
        Case(rule: .magic, label: "gguf") { $0.set(0, bytes: Array("GGUF".utf8)) },
        Case(rule: .magic, label: "line-ends") { $0.set(4, bytes: [0x0A, 0x1A, 0x0A, 0x01]) },
        Case(rule: .version, label: "1") { $0.set(8, u32: 1) },
        Case(rule: .version, label: "0") { $0.set(8, u32: 0) },
        Case(rule: .headerChecksum, label: "flipped-bit", seals: false) { $0.bytes[190] ^= 1 },
        Case(rule: .headerChecksum, label: "other-size", seals: false) { $0.bytes[16] ^= 1 },
        Case(rule: .headerReserved, label: "byte-130") { $0.bytes[130] = 1 },
        Case(rule: .fileSize, label: "cut", seals: false) { $0.bytes.removeLast() },
        Case(rule: .fileSize, label: "longer", seals: false) { $0.bytes.append(0) },
        Case(rule: .sectionLayout, label: "hole") { $0.set(32, u64: 208) },
        Case(rule: .sectionLayout, label: "end-wraps") { $0.set(88, u64: .max - 3) },
        Case(rule: .sectionLayout, label: "128-MiB") { $0.set(104, u64: 1 << 27) },
        Case(rule: .sectionLayout, label: "overlap") { $0.set(64, u64: $0.u64(48)) },
        Case(rule: .sectionLayout, label: "data-moved") { $0.set(24, u64: 32_768) },
        Case(rule: .metadataChecksum, label: "flipped-bit", seals: false) {
            $0.bytes[$0.config + 100] ^= 4
        },
        Case(rule: .metadataPadding, label: "last-byte") { $0.bytes[$0.data - 1] = 1 },
        Case(rule: .metadataPadding, label: "before-directory") { $0.bytes[$0.directory - 1] = 1 },
    ]

    private static let config: [Case] = [
        Case(rule: .configSize, label: "long-name") { $0.set($0.config + 76, u32: 200) },
        Case(rule: .configSize, label: "short-source") { $0.set($0.config + 84, u32: 0) },
        Case(rule: .configReserved, label: "flag-64") { $0.bytes[$0.config + 40] |= 64 },
        Case(rule: .configReserved, label: "mask-without-flag") { $0.bytes[$0.config + 52] = 1 },
        Case(rule: .configReserved, label: "sub-block-without-flag") {
            $0.set($0.config + 92, u32: 8)
        },
        Case(rule: .configReserved, label: "beta-without-flag") {
            $0.set($0.config + 44, f32: 0.1)
        },
        Case(rule: .configText, label: "not-utf8") { $0.bytes[$0.config + 184] = 0xFF },
        Case(rule: .configText, label: "name-of-300-bytes") { $0.set($0.config + 76, u32: 300) },
        Case(rule: .configShape, label: "odd-head") { $0.set($0.config + 20, u32: 3) },
        Case(rule: .configShape, label: "no-kv-heads") { $0.set($0.config + 16, u32: 0) },
        Case(rule: .configShape, label: "kv-heads-do-not-divide", model: GoldenModels.affine) {
            $0.set($0.config + 16, u32: 2)
        },
        Case(rule: .configShape, label: "huge-vocabulary") { $0.set($0.config + 24, u32: .max) },
        Case(rule: .configShape, label: "no-layers") { $0.set($0.config + 8, u32: 0) },
        Case(rule: .configNumbers, label: "eps-nan") { $0.set($0.config + 32, f32: .nan) },
        Case(rule: .configNumbers, label: "eps-zero") { $0.set($0.config + 32, f32: 0) },
        Case(rule: .configNumbers, label: "frequency-infinite") {
            $0.set($0.config + 136, u64: Double.infinity.bitPattern)
        },
        Case(rule: .configNumbers, label: "rotary-factor-0") { $0.set($0.config + 132, f32: 0) },
        Case(rule: .configNumbers, label: "attention-scale-nan") {
            $0.set($0.config + 176, f32: .nan)
        },
        Case(rule: .layers, label: "no-runs") { $0.set($0.config + 88, u32: 0) },
        Case(rule: .layers, label: "two-runs-of-one-layer") { $0.set($0.config + 88, u32: 2) },
        Case(rule: .layers, label: "no-tables") { $0.set($0.config + 96, u32: 0) },
        Case(rule: .layers, label: "context-of-last-table") { $0.set($0.config + 128, u32: 4096) },
        Case(rule: .layers, label: "run-of-4-billion") { $0.set($0.config + 152, u32: .max) },
        Case(rule: .layers, label: "norms-4") { $0.set($0.config + 156, u32: 4) },
        Case(rule: .layers, label: "query-key-norm-3") { $0.set($0.config + 160, u32: 3) },
        Case(rule: .layers, label: "activation-0") { $0.set($0.config + 164, u32: 0) },
        Case(rule: .layers, label: "rotary-beyond") { $0.set($0.config + 168, u32: 1) },
        Case(rule: .layers, label: "huge-window") { $0.set($0.config + 172, u32: .max) },
        Case(rule: .layers, label: "flag-2") { $0.set($0.config + 180, u32: 2) },
        Case(rule: .layers, label: "equal-runs", model: GoldenModels.layers) {
            $0.bytes.replaceSubrange(
                $0.config + 212..<$0.config + 240,
                with: $0.bytes[$0.config + 180..<$0.config + 208])
        },
        Case(rule: .layers, label: "layers-left", model: GoldenModels.layers) {
            $0.set($0.config + 208, u32: 1)
        },
        Case(rule: .configNumbers, label: "top-p-2") { $0.set($0.config + 72, f32: 2) },
        Case(rule: .blockDecoding, label: "mask", model: GoldenModels.everything) {
            $0.set($0.config + 52, u32: 6)
        },
        Case(rule: .blockDecoding, label: "size-65", model: GoldenModels.everything) {
            $0.set($0.config + 56, u32: 65)
        },
        Case(rule: .blockDecoding, label: "sub-block-33-of-32", model: GoldenModels.everything) {
            $0.set($0.config + 92, u32: 33)
        },
    ]

    private static let tokenizer: [Case] = [
        Case(rule: .tokenizerSize, label: "4-billion-merges") {
            $0.set($0.tokenizer + 4, u32: .max)
        },
        Case(rule: .tokenizerSize, label: "4-billion-bytes") {
            $0.set($0.tokenizer + 8, u32: .max)
            $0.set($0.tokenizer + 68, u32: .max)
        },
        Case(rule: .tokenizerSize, label: "more-than-rows") { $0.set($0.tokenizer, u32: 7) },
        Case(rule: .tokenizerReserved, label: "pre-tokenizer-9") {
            $0.set($0.tokenizer + 20, u32: 9)
        },
        Case(rule: .tokenizerReserved, label: "flag-32") { $0.set($0.tokenizer + 24, u32: 32) },
        Case(rule: .tokenizerReserved, label: "byte-44") { $0.bytes[$0.tokenizer + 44] = 1 },
        Case(rule: .tokenOffsets, label: "falling") { $0.set($0.tokenizer + 52, u32: 3) },
        Case(rule: .tokenOffsets, label: "not-from-0") { $0.set($0.tokenizer + 48, u32: 1) },
        Case(rule: .tokenOffsets, label: "end") { $0.set($0.tokenizer + 68, u32: 1000) },
        Case(rule: .tokenizerReserved, label: "space-prefix-1") {
            $0.set($0.tokenizer + 40, u32: 1)
        },
        Case(
            rule: .tokenizerReserved, label: "space-prefix-4", model: GoldenModels.sentencePiece
        ) { $0.set($0.tokenizer + 40, u32: 4) },
        Case(rule: .tokenKinds, label: "byte-of-two") { $0.bytes[$0.tokenizer + 102] = 4 },
        Case(rule: .tokenKinds, label: "byte-with-flag") { $0.bytes[$0.tokenizer + 100] = 12 },
        Case(rule: .tokenKinds, label: "flag-64", model: GoldenModels.addedTokens) {
            $0.bytes[$0.tokenizer + 104] |= 64
        },
        Case(rule: .merges, label: "first-of-equals") {
            $0.set($0.tokenizer + 72, u32: 1 << 31)
        },
        Case(rule: .merges, label: "unknown-id") { $0.set($0.tokenizer + 72, u32: 5) },
        Case(rule: .merges, label: "result-too-long") { $0.set($0.tokenizer + 80, u32: 3) },
        Case(rule: .tokenOffsets, label: "4-billion") { $0.set($0.tokenizer + 68, u32: .max) },
        Case(rule: .tokenIDs, label: "bos") { $0.set($0.tokenizer + 28, u32: 5) },
        Case(rule: .tokenIDs, label: "eos") { $0.set($0.tokenizer + 96, u32: 5) },
        Case(rule: .tokenizerText, label: "not-utf8", model: GoldenModels.affine) {
            $0.bytes[$0.tokenizer + 115] = 0xFF
        },
        Case(rule: .templateText, label: "not-utf8") { $0.bytes[$0.template + 1] = 0xC0 },
    ]

    private static let directory: [Case] = [
        Case(rule: .directorySize, label: "65536-tensors") { $0.set(112, u32: 65_536) },
        Case(rule: .directorySize, label: "4-billion-tensors") { $0.set(112, u32: .max) },
        Case(rule: .tensorName, label: "not-utf8") { $0.bytes[$0.name(0)] = 0xFF },
        Case(rule: .tensorName, label: "empty") { $0.set($0.record(0) + 4, u32: 0) },
        Case(rule: .tensorName, label: "hole") { $0.set($0.record(1), u32: 27) },
        Case(rule: .tensorName, label: "twice", model: GoldenModels.affine) {
            let (k, v) = ($0.name(3), $0.name(4))
            let size = Int($0.u32($0.record(3) + 4))
            $0.set(v, bytes: Array($0.bytes[k..<k + size]))
        },
        Case(rule: .tensorShape, label: "no-rows") { $0.set($0.record(0) + 8, u64: 0) },
        Case(rule: .tensorShape, label: "negative") { $0.set($0.record(0) + 16, u64: .max) },
        Case(rule: .tensorShape, label: "2-31") { $0.set($0.record(0) + 16, u64: 1 << 31 + 1) },
        Case(rule: .tensorEncoding, label: "13") { $0.set($0.record(0) + 24, u32: 13) },
        Case(rule: .tensorEncoding, label: "0") { $0.set($0.record(0) + 24, u32: 0) },
        Case(rule: .tensorStorage, label: "3") { $0.set($0.record(0) + 28, u32: 3) },
        Case(rule: .tensorStorage, label: "1-of-int5") {
            $0.set($0.record(0) + 24, u32: 6)
            $0.set($0.record(0) + 28, u32: 1)
        },
        Case(rule: .tensorStorage, label: "5-of-int8", model: GoldenModels.tinyTrellis) {
            $0.set($0.record(0) + 28, u32: 5)
        },
        Case(rule: .tensorStorage, label: "3-of-int8", model: GoldenModels.tinyTrellis) {
            $0.set($0.record(0) + 28, u32: 3)
        },
        Case(rule: .tensorTiling, label: "half-panel") { $0.set($0.record(0) + 32, u32: 8) },
        Case(rule: .tensorTiling, label: "no-rows") { $0.set($0.record(0) + 32, u32: 0) },
        Case(rule: .tensorTiling, label: "2-MiB") { $0.set($0.record(0) + 32, u32: 131_072) },
        Case(rule: .tensorTiling, label: "count") { $0.set($0.record(0) + 36, u32: 2) },
        Case(rule: .tensorTiling, label: "first") { $0.set($0.record(1) + 40, u64: 0) },
        Case(rule: .tensorTiling, label: "sum") { $0.set(116, u32: 99) },
        Case(rule: .tensorTiling, label: "columns-and-rows-2-31") {
            $0.set($0.record(0) + 8, u64: 1 << 31)
            $0.set($0.record(0) + 16, u64: 1 << 31)
        },
        Case(rule: .tensorPlacement, label: "hole") {
            $0.set($0.record(2) + 48, u64: $0.u64($0.record(2) + 48) + 64)
        },
        Case(rule: .tensorPlacement, label: "wraps") { $0.set($0.record(2) + 48, u64: .max - 63) },
        Case(rule: .tensorPlacement, label: "size") {
            $0.set($0.record(2) + 56, u64: $0.u64($0.record(2) + 56) + 1)
        },
        Case(rule: .tensorPlacement, label: "past-the-end") { file in
            let last = file.record(file.tensorCount - 1)
            file.set(last + 16, u64: 1_000_000)
            file.set(last + 56, u64: 4_000_000)
        },
        Case(rule: .tensorStorage, label: "coded-norm") { $0.set($0.record(1) + 28, u32: 1) },
        Case(rule: .tensorTiling, label: "coded-panel-of-64-MiB") {
            $0.set($0.record(0) + 16, u64: 1 << 23)
            $0.set($0.record(0) + 28, u32: 1)
        },
        Case(rule: .tileTable, label: "coded-sum", model: GoldenModels.tinyCoded) {
            $0.set($0.tileTable + 16, u32: $0.u32($0.tileTable + 16) - 1)
        },
        Case(rule: .tileTable, label: "coded-too-large", model: GoldenModels.tinyCoded) {
            $0.set($0.tileTable + 16, u32: 1 << 20)
        },
        Case(rule: .tileTable, label: "size") { $0.set($0.tileTable + 16, u32: 1) },
        Case(rule: .tileTable, label: "offset") { $0.set($0.tileTable, u64: 0) },
        Case(rule: .tileTable, label: "reserved") { $0.set($0.tileTable + 20, u32: 1) },
        Case(rule: .fileEnd, label: "more-bytes") {
            $0.bytes += [UInt8](repeating: 0, count: 64)
            $0.set(16, u64: UInt64($0.bytes.count))
        },
        Case(rule: .tensorSet, label: "missing") { $0.bytes[$0.name(2)] = UInt8(ascii: "x") },
        Case(rule: .tensorSet, label: "shape") { $0.set($0.config + 4, u32: 13) },
        Case(rule: .tensorSet, label: "no-head") { $0.bytes[$0.config + 40] &= ~1 },
        Case(rule: .tensorSet, label: "4096-layers") {
            $0.set($0.config + 8, u32: 4096)
            $0.set($0.config + 152, u32: 4096)
        },
        Case(rule: .tensorSet, label: "head-next-to-tied", model: headNextToTied) {
            let last = $0.name($0.tensorCount - 1)
            $0.bytes[last + 7] = UInt8(ascii: ".")
        },
        Case(rule: .tensorSet, label: "norm-as-int8", model: int8Norm) {
            $0.set($0.name(1), bytes: Array("other".utf8))
            $0.set($0.name($0.tensorCount - 1), bytes: Array("model".utf8))
        },
    ]

    private static let data: [Case] = [
        Case(rule: .tileChecksum, label: "flipped-bit", seals: false) {
            $0.bytes[$0.tensor(3) + 5] ^= 0x10
        },
        Case(rule: .dataPadding, label: "between-tensors", seals: false) {
            $0.bytes[$0.tensor(2) - 1] = 1
        },
        Case(rule: .values, label: "scale-infinite") {
            $0.set($0.tensor(0), bytes: [0x00, 0x7C])
            $0.sealTensor(0)
        },
        Case(rule: .values, label: "factor-nan", model: GoldenModels.planes) {
            $0.set($0.tensor(0) + 64, bytes: [0x01, 0x7C])
            $0.sealTensor(0)
        },
        Case(rule: .values, label: "norm-nan") {
            $0.set($0.tensor(1), f32: .nan)
            $0.sealTensor(1)
        },
        Case(rule: .tileCoding, label: "no-frame", model: GoldenModels.tinyCoded) {
            $0.set($0.tensor(0) + 4, u32: 0)
            $0.sealTensor(0)
        },
        Case(rule: .tileCoding, label: "planes-4-GiB", model: GoldenModels.tinyCoded) {
            $0.set($0.tensor(0), u32: .max)
            $0.sealTensor(0)
        },
        Case(rule: .tileCoding, label: "frame-of-1-GiB", model: GoldenModels.tinyCoded) {
            // The frame of the codes, with a content size of four bytes.
            let start = $0.tensor(0) + 4 + Int($0.u32($0.tensor(0)))
            $0.bytes[start + 4] = 0xA0
            $0.set(start + 5, u32: 1 << 30)
            $0.sealTensor(0)
        },
        Case(
            rule: .tileCoding, label: "trellis-of-6-and-a-half-bits",
            model: GoldenModels.tinyTrellis
        ) {
            $0.set($0.tensor(0), u32: 13)
            $0.sealTensor(0)
        },
        Case(rule: .tileCoding, label: "4-billion-exceptions", model: GoldenModels.tinyTrellis) {
            $0.set($0.tensor(0) + 4, u32: .max)
            $0.sealTensor(0)
        },
        Case(rule: .tileCoding, label: "exception-beyond", model: GoldenModels.tinyTrellis) {
            // The second of two, after the table and the scales of one panel.
            $0.set($0.tensor(0) + 136 + 32 + 8, u32: 1 << 20)
            $0.sealTensor(0)
        },
        Case(rule: .tileCoding, label: "exceptions-fall", model: GoldenModels.tinyTrellis) {
            $0.set($0.tensor(0) + 136 + 32, u32: 15)
            $0.sealTensor(0)
        },
        Case(rule: .tileCoding, label: "bits-after-a-strand", model: GoldenModels.tinyTrellis) {
            $0.bytes[$0.tensor(0) + 136 + 32 + 16 + 32 * Int($0.bytes[$0.tensor(0)])] |= 0x80
            $0.sealTensor(0)
        },
        Case(rule: .values, label: "trellis-code-0", model: GoldenModels.tinyTrellis) {
            for code in 0..<128 { $0.bytes[$0.tensor(0) + 8 + code] = 0 }
            $0.sealTensor(0)
        },
        Case(rule: .values, label: "int8-code-0", model: GoldenModels.everything) {
            $0.bytes[$0.tensor(0) + 64] = 0
            $0.sealTensor(0)
        },
    ]

    /// A tied model with a further tensor, to be renamed to a head.
    private static var headNextToTied: TinyModel {
        var model = TinyModel()
        model.tensors.append(
            TensorSpec(name: "lm_head_weight", rows: 6, columns: 8, encoding: .int4))
        return model
    }

    /// A model with a second input norm, coded int8; swapping their names makes it wrong.
    private static var int8Norm: TinyModel {
        var model = TinyModel()
        let name = "other" + model.tensors[1].name.dropFirst(5)
        model.tensors.append(TensorSpec(name: name, rows: 1, columns: 8, encoding: .int8))
        return model
    }
}
