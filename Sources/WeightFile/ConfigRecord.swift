/// The model configuration as it stands in a file. Formats/TSR.md §5.
enum ConfigRecord {
    private static let tieWordEmbeddings: UInt32 = 1
    private static let queryScaling: UInt32 = 2
    private static let blockDecoding: UInt32 = 4
    private static let shiftedLogits: UInt32 = 8
    private static let bidirectionalCommit: UInt32 = 16
    private static let isDrafter: UInt32 = 32
    private static let knownFlags: UInt32 = 63

    /// Reads and checks the section. Rules 10...15 and 38.
    static func parse(
        _ bytes: RawSpan, base: Int
    ) throws(Violation) -> (config: ModelConfig, source: String) {
        var fields = FieldReader(bytes, base: base, sizeRule: .configSize)
        var config = ModelConfig()
        let layerCount = try readSizes(&fields, into: &config)
        let flags = try readNumbers(&fields, into: &config)
        let nameBytes = try fields.int32()
        let modelTypeBytes = try fields.int32()
        let sourceBytes = try fields.int32()
        let runCount = try fields.int32()
        try readSubBlock(&fields, into: &config)
        let tableCount = try fields.int32()
        try fields.skip(28)
        try check(config, layerCount: layerCount, base: base)
        try readTables(tableCount, &fields, into: &config, base: base)
        try readLayers(runCount, of: layerCount, &fields, into: &config, base: base)
        if flags & isDrafter != 0 { try readDrafter(&fields, into: &config) }
        for (found, limit, at) in [
            (nameBytes, Limits.nameBytes, 76), (modelTypeBytes, Limits.modelTypeBytes, 80),
            (sourceBytes, Limits.sourceBytes, 84),
        ] where found > limit {
            throw Violation(
                .configText, at: base + at, found: "\(found) bytes", expected: "at most \(limit)")
        }
        config.name = try fields.text(byteCount: nameBytes, .configText)
        config.modelType = try fields.text(byteCount: modelTypeBytes, .configText)
        let source = try fields.text(byteCount: sourceBytes, .configText)
        try fields.finish()
        return (config, source)
    }

    /// - Returns: How many layers there are.
    private static func readSizes(
        _ fields: inout FieldReader, into config: inout ModelConfig
    ) throws(Violation) -> Int {
        config.hiddenSize = try fields.int32()
        config.intermediateSize = try fields.int32()
        let layerCount = try fields.int32()
        config.headCount = try fields.int32()
        config.kvHeadCount = try fields.int32()
        config.headDim = try fields.int32()
        config.vocabularySize = try fields.int32()
        config.maxPositions = try fields.int32()
        return layerCount
    }

    /// - Returns: The flags.
    private static func readNumbers(
        _ fields: inout FieldReader, into config: inout ModelConfig
    ) throws(Violation) -> UInt32 {
        config.rmsNormEps = try fields.f32()
        config.embeddingScale = try fields.f32()
        let flagsOffset = fields.offset
        let flags = try fields.u32()
        guard flags & ~knownFlags == 0 else {
            throw Violation(
                .configReserved, at: flagsOffset, found: flags, expected: "flags 0...\(knownFlags)")
        }
        config.tieWordEmbeddings = flags & tieWordEmbeddings != 0
        let beta = try fields.f32()
        let original = try fields.int32()
        if flags & queryScaling != 0 {
            config.queryScaling = .init(beta: beta, originalMaxPositions: original)
        } else if beta.bitPattern != 0 || original != 0 {
            throw Violation(
                .configReserved, at: flagsOffset + 4, found: "query scaling without its flag",
                expected: 0)
        }
        try readBlockDecoding(&fields, flags: flags, into: &config)
        config.sampling.temperature = try fields.f32()
        config.sampling.topK = try fields.int32()
        config.sampling.topP = try fields.f32()
        return flags
    }

    private static func readBlockDecoding(
        _ fields: inout FieldReader, flags: UInt32, into config: inout ModelConfig
    ) throws(Violation) {
        let offset = fields.offset
        let mask = try fields.int32()
        let size = try fields.int32()
        let confidence = try fields.f32()
        if flags & blockDecoding != 0 {
            config.blockDecoding = .init(
                maskToken: mask, blockSize: size, shiftedLogits: flags & shiftedLogits != 0,
                bidirectionalCommit: flags & bidirectionalCommit != 0,
                confidenceThreshold: confidence)
        } else if mask != 0 || size != 0 || confidence.bitPattern != 0
            || flags & (shiftedLogits | bidirectionalCommit) != 0
        {
            throw Violation(
                .configReserved, at: offset, found: "block decoding without its flag", expected: 0)
        }
    }

    private static func readSubBlock(
        _ fields: inout FieldReader, into config: inout ModelConfig
    ) throws(Violation) {
        let offset = fields.offset
        let size = try fields.int32()
        guard size == 0 || config.blockDecoding != nil else {
            throw Violation(
                .configReserved, at: offset, found: "a sub-block without blocks", expected: 0)
        }
        config.blockDecoding?.subBlockSize = size
    }

    /// The section's bytes; `source` says where the model came from.
    static func encode(_ config: ModelConfig, source: String) -> [UInt8] {
        var fields = FieldWriter()
        for size in [
            config.hiddenSize, config.intermediateSize, config.layerCount, config.headCount,
            config.kvHeadCount, config.headDim, config.vocabularySize, config.maxPositions,
        ] {
            fields.int32(size)
        }
        fields.f32(config.rmsNormEps)
        fields.f32(config.embeddingScale)
        fields.u32(flags(of: config))
        fields.f32(config.queryScaling?.beta ?? 0)
        fields.int32(config.queryScaling?.originalMaxPositions ?? 0)
        fields.int32(config.blockDecoding?.maskToken ?? 0)
        fields.int32(config.blockDecoding?.blockSize ?? 0)
        fields.f32(config.blockDecoding?.confidenceThreshold ?? 0)
        fields.f32(config.sampling.temperature)
        fields.int32(config.sampling.topK)
        fields.f32(config.sampling.topP)
        fields.int32(config.name.utf8.count)
        fields.int32(config.modelType.utf8.count)
        fields.int32(source.utf8.count)
        fields.int32(config.layerRuns.count)
        fields.int32(config.blockDecoding?.subBlockSize ?? 0)
        fields.int32(config.rotaryTables.count)
        fields.zeros(28)
        for table in config.rotaryTables { write(table, &fields) }
        for run in config.layerRuns { write(run.spec, count: run.count, &fields) }
        if let drafter = config.drafter { write(drafter, &fields) }
        fields.append(config.name.utf8)
        fields.append(config.modelType.utf8)
        fields.append(source.utf8)
        return fields.bytes
    }

    private static func flags(of config: ModelConfig) -> UInt32 {
        var flags: UInt32 = 0
        if config.tieWordEmbeddings { flags |= tieWordEmbeddings }
        if config.queryScaling != nil { flags |= queryScaling }
        if config.drafter != nil { flags |= isDrafter }
        if let block = config.blockDecoding {
            flags |= blockDecoding
            if block.shiftedLogits { flags |= shiftedLogits }
            if block.bidirectionalCommit { flags |= bidirectionalCommit }
        }
        return flags
    }
}
