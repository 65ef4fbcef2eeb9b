// Rotary tables and layers as they stand in a file. Formats/TSR.md §5.1 and §5.2, rules 14 and 38.
extension ConfigRecord {
    static let layerBytes = 32
    private static let attentionBias: UInt32 = 1

    static func readTables(
        _ count: Int, _ fields: inout FieldReader, into config: inout ModelConfig, base: Int
    ) throws(Violation) {
        try require(.layers, at: base + 96, count, in: 1...16)
        let half = config.headDim / 2
        for index in 0..<count {
            let start = fields.offset
            let longest = try fields.int32()
            let factor = try fields.f32()
            let frequencies = try fields.array(of: UInt64.self, count: half)
                .map(Double.init(bitPattern:))
            let isLast = index == count - 1
            try require(.layers, at: start, longest, in: 0...(isLast ? 0 : 1 << 30))
            try require(
                .configNumbers, at: start + 4, factor, in: Float.leastNormalMagnitude...1000)
            for (pair, frequency) in frequencies.enumerated() {
                try require(.configNumbers, at: start + 8 + 8 * pair, frequency, in: 0...1000)
            }
            config.rotaryTables.append(
                RotaryTable(frequencies, attentionFactor: factor, longestContext: longest))
        }
    }

    static func write(_ table: RotaryTable, _ fields: inout FieldWriter) {
        fields.int32(table.longestContext)
        fields.f32(table.attentionFactor)
        for frequency in table.inverseFrequencies { fields.f64(frequency) }
    }

    static func readLayers(
        _ runs: Int, of layerCount: Int, _ fields: inout FieldReader,
        into config: inout ModelConfig, base: Int
    ) throws(Violation) {
        try require(.layers, at: base + 88, runs, in: 1...layerCount)
        for _ in 0..<runs {
            let start = fields.offset
            let count = try fields.int32()
            let spec = try readLayer(&fields, tables: config.rotaryTables.count)
            try require(.layers, at: start, count, in: 1...max(1, layerCount - config.layerCount))
            guard config.layers.last != spec else {
                throw Violation(
                    .layers, at: start, found: "two equal runs of layers", expected: "one")
            }
            config.layers += Array(repeating: spec, count: count)
        }
        guard config.layerCount == layerCount else {
            throw Violation(
                .layers, at: base + 88, found: "\(config.layerCount) layers in all runs",
                expected: layerCount)
        }
    }

    private static func readLayer(
        _ fields: inout FieldReader, tables: Int
    ) throws(Violation) -> LayerSpec {
        var spec = LayerSpec()
        spec.norms = try code(&fields)
        spec.queryKeyNorm = try code(&fields)
        spec.activation = try code(&fields)
        let start = fields.offset
        spec.rotary = try fields.int32()
        spec.window = try fields.int32()
        spec.attentionScale = try fields.f32()
        let flags = try fields.u32()
        try require(.layers, at: start, spec.rotary, in: 0...tables - 1)
        try require(.layers, at: start + 4, spec.window, in: 0...1 << 30)
        try require(
            .configNumbers, at: start + 8, spec.attentionScale,
            in: Float.leastNormalMagnitude...1000)
        try require(.layers, at: start + 12, flags, in: 0...attentionBias)
        spec.attentionBias = flags & attentionBias != 0
        return spec
    }

    /// One of a few named values.
    private static func code<Value: RawRepresentable<UInt32>>(
        _ fields: inout FieldReader
    ) throws(Violation) -> Value {
        let start = fields.offset
        let raw = try fields.u32()
        guard let value = Value(rawValue: raw) else {
            throw Violation(
                .layers, at: start, found: raw, expected: "a value of Formats/TSR.md §5.2")
        }
        return value
    }

    static func write(_ spec: LayerSpec, count: Int, _ fields: inout FieldWriter) {
        fields.int32(count)
        fields.u32(spec.norms.rawValue)
        fields.u32(spec.queryKeyNorm.rawValue)
        fields.u32(spec.activation.rawValue)
        fields.int32(spec.rotary)
        fields.int32(spec.window)
        fields.f32(spec.attentionScale)
        fields.u32(spec.attentionBias ? attentionBias : 0)
    }
}
