internal import TesseraWeightFile

/// A model of random weights in a real shape: its text is noise, its speed and memory are real.
final class SyntheticModel: TensorSource {
    let config: ModelConfig
    let tokenizer: TokenizerTables
    let chatTemplate: String? = nil
    let origin: String
    let tensors: [SourceTensor]
    let sourceBytes: Int

    private static let shapes: [(name: String, make: @Sendable () -> ModelConfig)] = [
        ("llama-3.1-8b", llama31), ("qwen3-8b", qwen3),
        ("nemotron-labs-diffusion-8b", nemotron), ("smollm2-135m", smollm2), ("tiny", tiny),
        ("tiny-qwen2", tinyQwen2), ("tiny-qwen3", tinyQwen3), ("tiny-ministral3", tinyMinistral3),
    ]

    init(named name: String) throws(ImportError) {
        guard let shape = Self.shapes.first(where: { $0.name == name }) else {
            throw .unknownSynthetic(name: name, known: Self.shapes.map(\.name))
        }
        var config = shape.make()
        config.name = "synthetic-" + name
        self.config = config
        tokenizer = Self.vocabulary(config.vocabularySize, mask: config.blockDecoding?.maskToken)
        origin = "synthetic:" + name
        tensors = config.tensors.map {
            SourceTensor(name: $0.name, rows: $0.rows, columns: $0.columns, type: .synthetic)
        }
        // Bytes of a bfloat16 checkpoint of this shape.
        sourceBytes = tensors.reduce(0) { $0 + 2 * $1.rows * $1.columns }
    }

    func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError) {
        if tensor.rows == 1 {
            let value: Float = tensor.name.hasSuffix(".bias") ? 0 : 1
            for index in 0..<rows.count * tensor.columns { output[index] = value }
            return
        }
        // Keeps the residual stream of order 1 through any number of layers.
        let deviation = 0.7 / Float(tensor.columns).squareRoot()
        var seed: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a of the name
        for byte in tensor.name.utf8 { seed = (seed ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for (index, row) in rows.enumerated() {
            // Mixed, so that no row is another one shifted.
            var state = Self.mix(seed ^ Self.mix(UInt64(row)))
            let base = index * tensor.columns
            for position in base..<base + tensor.columns {
                state &+= Self.step
                output[position] = deviation * Self.gaussian(Self.mix(state))
            }
        }
    }

    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? { nil }

    /// SplitMix64: the increment of the state, and the function from state to output.
    private static let step: UInt64 = 0x9e37_79b9_7f4a_7c15

    @inline(__always)
    private static func mix(_ state: UInt64) -> UInt64 {
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    /// Sum of the eight bytes of a random word, centred and scaled to unit variance: close to a
    /// gaussian to 3 sigma, and fast.
    @inline(__always)
    private static func gaussian(_ word: UInt64) -> Float {
        let pairs = (word & 0x00ff_00ff_00ff_00ff) &+ (word >> 8 & 0x00ff_00ff_00ff_00ff)
        let sum = (pairs &* 0x0001_0001_0001_0001) >> 48
        // Eight uniform bytes have mean 1020 and deviation sqrt(8 * 65535 / 12) = 209.02.
        return (Float(sum) - 1020) * (1 / 209.02)
    }
}
