internal import TesseraReporting
public import TesseraWeightFile

/// The target of a drafter that is to be imported.
public protocol DraftTarget: Sendable {
    var config: ModelConfig { get }
    /// Rows of the head, one after the other, into the start of `output`.
    func headRows(_ ids: [Int], into output: inout [Float])
}

/// A block drafter in a Hugging Face folder, as z-lab (DFlash), DeepSpec (DSpark) and Tools/train write it. Its head is made of
/// rows of the target's.
public final class HuggingFaceDrafter: TensorSource {
    public let config: ModelConfig
    public var tokenizer: TokenizerTables { TokenizerTables(tokens: [], kinds: [], merges: []) }
    public var chatTemplate: String? { nil }
    public let origin: String
    public let tensors: [SourceTensor]
    public let sourceBytes: Int
    public let fingerprint: String
    private let stored: StoredTensors
    private let target: any DraftTarget

    /// - Parameters:
    ///   - vocabulary: Tokens that can be drafted at most, where the drafter does not say which: those with the lowest ids, which
    ///     are frequent in tokenizers of merged pairs.
    /// - Throws: Also where the drafter does not fit the target.
    public init(
        folder: String, for target: any DraftTarget, vocabulary: Int
    ) throws(ImportError) {
        let path = folder + "/config.json"
        guard let root = try Settings.file(path) else {
            throw .notFound(path: folder, wanted: "config.json in this folder")
        }
        guard try Self.isDrafter(root) else {
            throw .unsupported(
                path: folder, what: "a model that is not a block drafter, with --drafts-for",
                advice: "choose a DFlash or DSpark drafter, or leave --drafts-for out")
        }
        let (read, form) = try HuggingFaceConfig(root).model()
        var config = read
        config.name = try HuggingFaceModel.name(of: folder, root)
        config.tieWordEmbeddings = false
        config.embeddingScale = target.config.embeddingScale
        var drafter = try Self.settings(root, target.config)
        if drafter.draftTokens.isEmpty, vocabulary < config.vocabularySize {
            drafter.draftTokens = (0..<UInt32(vocabulary)).map { $0 }
        }
        config.drafter = drafter
        if let reason = config.misfit(as: target.config) {
            throw .unsupported(
                path: path, what: "a drafter that \(reason), which", advice: "choose another target"
            )
        }
        try config.checkNumbers(path: path)

        let found = try HuggingFaceModel.openShards(folder)
        let prefix = found["fc.weight"] == nil ? "model." : ""
        func name(_ tensor: ModelTensor) -> String {
            let name = tensor.name
            return prefix + (name.hasPrefix("model.") ? name.dropFirst("model.".count) : name[...])
        }
        let own = config.tensors.filter { $0.role != .head }
        let whole = config.vocabularySize
        stored = try StoredTensors(config, form, tensors: own) { tensor in
            // Where the head has fewer rows than there are factors, only the first factors are taken.
            let isWhole =
                tensor.role == .nextToken && found[name(tensor)]?.tensor.shape.first == whole
            return StoredForm.Place(name: name(tensor), rows: isWhole ? whole : tensor.rows)
        } find: { name, rows, columns throws(ImportError) in
            guard let entry = found[name] else { throw .missingTensor(path: folder, name: name) }
            return try HuggingFaceModel.part(entry, named: name, rows: rows, columns: columns)
        }
        try Self.refuseOthers(found.keys, used: own.map(name), prefix, folder)
        let head = config.tensor(.head)
        let place = config.tensors.firstIndex(of: head) ?? 0
        var list = stored.list
        list.insert(
            SourceTensor(name: head.name, rows: head.rows, columns: head.columns, type: .f32),
            at: place)
        (tensors, sourceBytes) = (list, stored.byteCount + head.rows * head.columns * 4)
        fingerprint = SourceFile.fingerprint(found.values.map(\.file))
        origin = "Hugging Face: \(config.name), for \(target.config.name)".prefixed(1000)
        (self.config, self.target) = (config, target)
    }

    public func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError) {
        guard tensor.name == config.headName else {
            return try stored.read(tensor, rows: rows, into: &output)
        }
        let ids = config.drafter?.draftTokens ?? []
        target.headRows(rows.map { ids.isEmpty ? $0 : Int(ids[$0]) }, into: &output)
    }

    public func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? { nil }

    // MARK: Settings

    private static func classes(_ root: Settings) throws(ImportError) -> [String] {
        (try root.array("architectures") ?? []).compactMap { $0.string?.lowercased() }
    }

    static func isDrafter(_ root: Settings) throws(ImportError) -> Bool {
        try classes(root).contains { $0.contains("dflash") || $0.contains("dspark") }
    }

    private static func settings(
        _ root: Settings, _ target: ModelConfig
    ) throws(ImportError) -> ModelConfig.Drafter {
        // Newer files have some of them in an object of their own.
        let inner = try root.object("dflash_config")
        func place(_ name: String) -> Settings { inner?.has(name) == true ? inner ?? root : root }
        for name in ["conv_kernel_size", "conv_group_size", "selector_rank"] {
            guard place(name).value(name) == nil else {
                throw place(name).unsupported(name, advice: "choose a DFlash or DSpark drafter")
            }
        }
        let types = try root.array("layer_types") ?? []
        if types.contains(where: { $0.string == "sliding_attention" }),
            try place("is_causal").bool("is_causal") != false
        {
            throw root.unsupported("layer_types", advice: "choose a drafter with full attention")
        }
        var drafter = ModelConfig.Drafter()
        drafter.targetLayers = try root.size("num_target_layers") ?? target.layerCount
        func number(_ name: String, _ range: ClosedRange<Int>) throws(ImportError) -> Int {
            let settings = place(name)
            let value = try settings.required(name, try settings.int(name))
            guard range.contains(value) else {
                throw settings.wrong(name, "\(range.lowerBound)...\(range.upperBound)")
            }
            return value
        }
        drafter.predictsNext = try predictsNext(root)
        drafter.blockSize = try number("block_size", (drafter.predictsNext ? 1 : 2)...64)
        drafter.maskToken = try number("mask_token_id", 0...target.vocabularySize - 1)
        let taps = try list("target_layer_ids", place("target_layer_ids"))
        guard (1...64).contains(taps.count),
            taps.allSatisfy({ (-1..<drafter.targetLayers).contains($0) })
        else {
            throw place("target_layer_ids").wrong(
                "target_layer_ids", "1 to 64 layers of the target's \(drafter.targetLayers)")
        }
        drafter.taps = taps
        drafter.draftTokens = try draftTokens(root, target)
        if root.value("markov_rank") != nil {
            drafter.markovRank = try number("markov_rank", 0...4096)
        }
        if drafter.markovRank > 0, let kind = try root.string("markov_head_type"), kind != "vanilla"
        {
            throw root.unsupported(
                "markov_head_type", advice: "choose a drafter with a vanilla one")
        }
        if try root.bool("enable_confidence_head") == true {
            let hasFactor = try root.bool("confidence_head_with_markov") ?? (drafter.markovRank > 0)
            drafter.confidence = hasFactor && drafter.markovRank > 0 ? .outputAndPrevious : .output
        }
        return drafter
    }

    /// Whether row i predicts the token after its own place. z-lab's predict the one at their place; both kinds of
    /// DeepSpec, which begin with the name of the layers, the next.
    private static func predictsNext(_ root: Settings) throws(ImportError) -> Bool {
        if let told = try root.bool("sample_from_anchor") { return told }
        return try !classes(root).contains { $0.hasPrefix("dflash") }
    }

    private static func draftTokens(
        _ root: Settings, _ target: ModelConfig
    ) throws(ImportError) -> [UInt32] {
        let ids = try list("draft_tokens", root)
        var last = -1
        for id in ids {
            guard id > last, id < target.vocabularySize else {
                throw root.wrong("draft_tokens", "ascending ids below \(target.vocabularySize)")
            }
            last = id
        }
        return ids.map { UInt32($0) }
    }

    private static func list(_ name: String, _ place: Settings) throws(ImportError) -> [Int] {
        let values = try place.array(name) ?? []
        let whole = values.compactMap(\.int)
        guard whole.count == values.count else {
            throw place.wrong(name, "a list of whole numbers")
        }
        return whole
    }

    /// Refuses tensors that would be left out, except copies of the target's embedding and head.
    private static func refuseOthers(
        _ names: some Sequence<String>, used: [String], _ prefix: String, _ path: String
    ) throws(ImportError) {
        let known = Set(
            used + ["lm_head.weight", "embed_tokens.weight"].flatMap { [$0, prefix + $0] })
        for name in names.sorted() where !known.contains(name) && !name.hasSuffix(".inv_freq") {
            throw .noPlace(path: path, tensor: name, family: "block drafter")
        }
    }
}
