internal import WeightFile

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
        tensors = config.requiredTensors.map {
            SourceTensor(name: $0.name, rows: $0.rows, columns: $0.columns, type: .synthetic)
        }
        // What a bfloat16 checkpoint of this shape would take.
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
            var state = seed &+ UInt64(row) &* 0x9e37_79b9_7f4a_7c15
            let base = index * tensor.columns
            for column in 0..<tensor.columns {
                output[base + column] = deviation * Self.gaussian(&state)
            }
        }
    }

    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? { nil }

    /// Sum of eight bytes of a SplitMix64 step, centred and scaled to unit variance: close to a
    /// gaussian to 3 sigma, and fast.
    @inline(__always)
    private static func gaussian(_ state: inout UInt64) -> Float {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        z ^= z >> 31
        let pairs = (z & 0x00ff_00ff_00ff_00ff) &+ (z >> 8 & 0x00ff_00ff_00ff_00ff)
        let sum = (pairs &* 0x0001_0001_0001_0001) >> 48
        // Eight uniform bytes have mean 1020 and deviation sqrt(8 * 65535 / 12) = 209.02.
        return (Float(sum) - 1020) * (1 / 209.02)
    }

    // MARK: Shapes

    private static func shape(
        hidden: Int, inner: Int, layers: Int, heads: Int, kvHeads: Int, headDim: Int,
        vocabulary: Int, positions: Int, scaling: RopeScaling = .none, theta: Double
    ) -> ModelConfig {
        var config = ModelConfig()
        config.hiddenSize = hidden
        config.intermediateSize = inner
        config.layerCount = layers
        config.headCount = heads
        config.kvHeadCount = kvHeads
        config.headDim = headDim
        config.vocabularySize = vocabulary
        config.maxPositions = positions
        config.ropeInverseFrequencies = scaling.inverseFrequencies(theta: theta, headDim: headDim)
        return config
    }

    private static func llama31() -> ModelConfig {
        var config = shape(
            hidden: 4096, inner: 14336, layers: 32, heads: 32, kvHeads: 8, headDim: 128,
            vocabulary: 128_256, positions: 131_072,
            scaling: .llama3(factor: 8, low: 1, high: 4, original: 8192), theta: 500_000)
        config.modelType = "llama"
        return config
    }

    private static func qwen3() -> ModelConfig {
        var config = shape(
            hidden: 4096, inner: 12288, layers: 36, heads: 32, kvHeads: 8, headDim: 128,
            vocabulary: 151_936, positions: 40_960, theta: 1_000_000)
        config.modelType = "qwen3"
        config.rmsNormEps = 1e-6
        config.queryKeyNorm = true
        return config
    }

    /// Ministral 3 8B with a mask token.
    private static func nemotron() -> ModelConfig {
        var config = shape(
            hidden: 4096, inner: 14336, layers: 34, heads: 32, kvHeads: 8, headDim: 128,
            vocabulary: 131_072, positions: 262_144,
            scaling: .yarn(factor: 16, betaFast: 32, betaSlow: 1, original: 16384, truncate: true),
            theta: 1_000_000)
        config.modelType = "nemotron_labs_diffusion"
        config.queryScaling = .init(beta: 0.1, originalMaxPositions: 16384)
        config.blockDecoding = .init(maskToken: 100, blockSize: 32, confidenceThreshold: 0.9)
        return config
    }

    private static func smollm2() -> ModelConfig {
        var config = shape(
            hidden: 576, inner: 1536, layers: 30, heads: 9, kvHeads: 3, headDim: 64,
            vocabulary: 49_152, positions: 8192, theta: 100_000)
        config.modelType = "llama"
        config.tieWordEmbeddings = true
        return config
    }

    /// For tests and first looks: 1 MB.
    private static func tiny() -> ModelConfig {
        var config = shape(
            hidden: 64, inner: 160, layers: 2, heads: 4, kvHeads: 2, headDim: 16,
            vocabulary: 512, positions: 2048, theta: 10_000)
        config.modelType = "llama"
        config.blockDecoding = .init(maskToken: 511, blockSize: 16)
        return config
    }

    // MARK: Vocabulary

    /// All bytes, then pronounceable pieces, so that noise can be read.
    private static func vocabulary(_ count: Int, mask: Int?) -> TokenizerTables {
        let consonants = Array("bcdfghjklmnprstvwz".utf8)
        let vowels = Array("aeiou".utf8)
        var tokens = (0..<min(256, count)).map { [UInt8($0)] }
        var index = 0
        while tokens.count < count {
            var token: [UInt8] = [0x20]
            var rest = index
            repeat {
                token.append(consonants[rest % consonants.count])
                rest /= consonants.count
                token.append(vowels[rest % vowels.count])
                rest /= vowels.count
            } while rest > 0
            // Digit 0 adds nothing to the number, so the length keeps the spellings apart.
            token.append(contentsOf: String(index % 10).utf8)
            tokens.append(token)
            index += 1
        }
        var kinds = [TokenizerTables.TokenKind](repeating: .normal, count: count)
        if let mask {
            tokens[mask] = Array("<|mask|>".utf8)
            kinds[mask] = .special
        }
        return TokenizerTables(tokens: tokens, kinds: kinds)
    }
}
