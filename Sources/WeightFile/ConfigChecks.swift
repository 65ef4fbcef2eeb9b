// What the numbers of a configuration must satisfy before anything is sized by them.
// Formats/TSR.md §5, rules 13...15. Offsets are those of the fields in the section.
extension ConfigRecord {
    /// Rules 13...15, except the numbers of tables and layers.
    static func check(_ config: ModelConfig, layerCount: Int, base: Int) throws(Violation) {
        try checkShape(config, layerCount: layerCount, base: base)
        try checkNumbers(config, base: base)
        if let block = config.blockDecoding {
            let offset = base + 52
            try require(
                .blockDecoding, at: offset, block.maskToken, in: 0...config.vocabularySize - 1)
            try require(.blockDecoding, at: offset + 4, block.blockSize, in: 1...64)
            try require(.blockDecoding, at: offset + 8, block.confidenceThreshold, in: 0...1)
            try require(.blockDecoding, at: base + 92, block.subBlockSize, in: 0...block.blockSize)
        }
    }

    private static func checkShape(
        _ config: ModelConfig, layerCount: Int, base: Int
    ) throws(Violation) {
        let width = 1...1 << 20
        try require(.configShape, at: base, config.hiddenSize, in: width)
        try require(.configShape, at: base + 4, config.intermediateSize, in: width)
        try require(.configShape, at: base + 8, layerCount, in: 1...4096)
        try require(.configShape, at: base + 12, config.headCount, in: 1...4096)
        try require(.configShape, at: base + 16, config.kvHeadCount, in: 1...config.headCount)
        try require(.configShape, at: base + 20, config.headDim, in: 2...1024)
        try require(.configShape, at: base + 24, config.vocabularySize, in: 1...1 << 22)
        try require(.configShape, at: base + 28, config.maxPositions, in: 1...1 << 30)
        guard config.headDim % 2 == 0 else {
            throw Violation(
                .configShape, at: base + 20, found: config.headDim, expected: "an even headDim")
        }
        guard config.headCount % config.kvHeadCount == 0 else {
            throw Violation(
                .configShape, at: base + 16, found: config.kvHeadCount,
                expected: "a divisor of \(config.headCount) heads")
        }
    }

    private static func checkNumbers(_ config: ModelConfig, base: Int) throws(Violation) {
        let tiny = Float.leastNormalMagnitude
        try require(.configNumbers, at: base + 32, config.rmsNormEps, in: tiny...1)
        try require(.configNumbers, at: base + 36, config.embeddingScale, in: tiny...65536)
        if let scaling = config.queryScaling {
            try require(.configNumbers, at: base + 44, scaling.beta, in: 0...1000)
            try require(
                .configNumbers, at: base + 48, scaling.originalMaxPositions, in: 1...1 << 30)
        }
        try require(.configNumbers, at: base + 64, config.sampling.temperature, in: 0...100)
        try require(.configNumbers, at: base + 68, config.sampling.topK, in: 0...1 << 22)
        try require(.configNumbers, at: base + 72, config.sampling.topP, in: tiny...1)
    }

    /// Demands that `value` lies in `range`; NaN lies in none.
    static func require<Value: Comparable & CustomStringConvertible>(
        _ rule: ValidationRule, at offset: Int, _ value: Value, in range: ClosedRange<Value>
    ) throws(Violation) {
        guard range.contains(value) else {
            throw Violation(
                rule, at: offset, found: value,
                expected: "\(range.lowerBound)...\(range.upperBound)")
        }
    }
}
