import Foundation
import TesseraTestSupport
import TesseraWeightFile

/// A model of one layer with made-up values that follow every rule; a few kilobytes.
struct TinyModel: Sendable {
    var config = ModelConfig()
    var tokenizer = TokenizerTables()
    var chatTemplate: String? = "{{ messages[0].content }}"
    var tensors: [TensorSpec] = []
    var source = "made for tests"
    /// Bytes of tensors that are not made up.
    var fixed: [String: [UInt8]] = [:]
    var storage: StorageClass

    /// - Parameters:
    ///   - encoding: Encoding of the matrices; vectors are f32.
    ///   - storage: Storage class of the matrices.
    init(encoding: TensorEncoding = .int4, storage: StorageClass = .plain) {
        self.storage = storage
        config.name = "tiny"
        config.modelType = "llama"
        config.hiddenSize = 8
        config.intermediateSize = 12
        config.layers = [LayerSpec()]
        config.layers[0].attentionScale = 0.5
        config.headCount = 2
        config.kvHeadCount = 1
        config.headDim = 4
        config.vocabularySize = 6
        config.maxPositions = 64
        config.rotaryTables = [RotaryTable([1, 0.01])]
        config.tieWordEmbeddings = true
        tokenizer = TokenizerTables(
            tokens: [[97], [98], [97, 98], [97, 98, 98], Array("<s>".utf8)],
            kinds: [.normal, .normal, .normal, .normal, .special],
            merges: [.init(left: 0, right: 1, result: 2), .init(left: 2, right: 1, result: 3)])
        tokenizer.bosToken = 4
        tokenizer.eosTokens = [4]
        setTensors(encoding: encoding)
    }

    /// Makes the tensor list fit the configuration.
    mutating func setTensors(encoding: TensorEncoding) {
        tensors = config.tensors.map {
            TensorSpec(
                name: $0.name, rows: $0.rows, columns: $0.columns,
                encoding: $0.role.isVector ? .f32 : encoding,
                storage: $0.role.isVector ? .plain : storage)
        }
    }

    /// Seeded bytes for each tensor: valid scales, codes and numbers.
    func bytes(of spec: TensorSpec, seed: UInt64 = 1) -> [UInt8] {
        if let bytes = fixed[spec.name] { return bytes }
        var random = SplitMix(state: seed &+ UInt64(spec.name.utf8.count) &* 977)
        let panel = TensorRecord.panelBytes(encoding: spec.encoding, columns: spec.columns)
        let count = TensorRecord.byteCount(
            encoding: spec.encoding, rows: spec.rows, columns: spec.columns)
        let groups = (spec.columns + 31) / 32
        let layout = PanelLayout(spec.encoding, columns: spec.columns)
        let (plane, supers) = (layout.plane, (groups + 7) / 8)
        var bytes: [UInt8] = []
        while bytes.count < count {
            let place = bytes.count % panel
            switch spec.encoding {
            case .f32: bytes.append(contentsOf: little(Float(random.next() % 64) / 32 - 1))
            case .f16: bytes.append(contentsOf: little(Float16(Float(random.next() % 64) / 32 - 1)))
            default:
                let isNested = layout.factorBytes > 0
                let inPlane = isNested && place >= plane ? place - plane : place % plane
                let used = isNested && place >= plane ? supers * layout.factorBytes : groups * 32
                if place >= layout.planesBytes || isNested && place < groups * 32 {
                    bytes.append(UInt8(random.next() % 255 + 1))
                } else if inPlane < used {
                    bytes.append(contentsOf: little(Float16(Float(random.next() % 16) / 64)))
                } else {
                    bytes.append(0)
                }
            }
        }
        return bytes
    }

    /// Writes the model in chunks of `chunk` bytes.
    func write(to path: String, chunk: Int = 1000) throws {
        let writer = try WeightFileWriter(
            path: path, config: config, tokenizer: tokenizer, chatTemplate: chatTemplate,
            tensors: tensors, source: source)
        for spec in tensors { try append(spec, to: writer, chunk: chunk) }
        try writer.finish()
    }

    /// Appends a tensor, plain ones in chunks of `chunk` bytes.
    func append(_ spec: TensorSpec, to writer: WeightFileWriter, chunk: Int = 1000) throws {
        if spec.storage == .trellis {
            for row in stride(from: 0, to: spec.rows, by: spec.tileRows) {
                let panels = (min(spec.tileRows, spec.rows - row) + 15) / 16
                try writer.appendTile(trellisTile(of: spec, panels: panels, seed: row))
            }
            return
        }
        let bytes = bytes(of: spec)
        let coder =
            spec.storage == .plain
            ? nil
            : TileCoder(
                encoding: spec.encoding, storage: spec.storage, columns: spec.columns)
        let panel = TensorRecord.panelBytes(encoding: spec.encoding, columns: spec.columns)
        let step = coder == nil ? chunk : spec.tileRows / spec.encoding.rowsPerPanel * panel
        for start in stride(from: 0, to: bytes.count, by: step) {
            let part = Array(bytes[start..<min(start + step, bytes.count)])
            if let coder {
                try writer.appendTile(coder.encode(part))
            } else {
                try writer.append(part)
            }
        }
    }

    /// Any bits are a tile of a trellis, its numbers in front aside.
    private func trellisTile(of spec: TensorSpec, panels: Int, seed: Int) -> [UInt8] {
        var random = SplitMix(state: UInt64(spec.columns + seed))
        let groups = (spec.columns + 31) / 32
        let rate = Int(random.next() % 11) + 2
        func byte() -> UInt8 { UInt8(truncatingIfNeeded: random.next()) }
        func scale() -> [UInt8] { little(Float16(Float(random.next() % 16) / 64)) }
        let exceptions = [0, 16 * groups * panels - 1]
        var tile: [UInt8] = [UInt8(rate), 0, 0, 0, UInt8(exceptions.count), 0, 0, 0]
        tile += (0..<128).map { _ in byte() | 1 }
        for _ in 0..<panels * 16 { tile += scale() }
        for place in exceptions {
            tile += (0..<4).map { UInt8(truncatingIfNeeded: place >> (8 * $0)) } + scale() + [0, 0]
        }
        for _ in 0..<panels {
            tile += (0..<32 * groups * rate).map { _ in byte() }
            tile.append(byte() % (1 << UInt8(7 - (rate + 1) / 2)))
        }
        return tile
    }

    /// The bytes of the written file.
    func fileBytes() throws -> [UInt8] {
        let folder = try TemporaryFolder()
        try write(to: folder.file("tiny.tsr"))
        return [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.file("tiny.tsr"))))
    }

    private func little(_ value: Float) -> [UInt8] {
        withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
    }

    private func little(_ value: Float16) -> [UInt8] {
        withUnsafeBytes(of: value.bitPattern.littleEndian, Array.init)
    }
}

/// Vigna's SplitMix64: small and the same everywhere.
struct SplitMix {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
