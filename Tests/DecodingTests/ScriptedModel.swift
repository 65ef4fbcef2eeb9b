@testable import TesseraDecoding
import TesseraKernels
import TesseraWeightFile

/// A language model without weights. Its logits are a fixed function of exactly what a position may
/// see: a committed token of the text up to itself, an open one of the whole past and its block.
///
/// Every position has a favourite token that any context finds likely, so that masks can guess it,
/// and context moves the logits enough that guesses are often wrong.
final class ScriptedModel: LanguageModel {
    /// One call of `forward`.
    struct Pass: Equatable {
        var committed: [Int32]
        var open: [Int32]
        var logitRows: [Int]
        var blockSize: Int
    }

    let vocabularySize: Int
    var blockDecoding: ModelConfig.BlockDecoding?
    let compute: Compute
    let batchCapacity = 128
    let logitCapacity = 128
    let logits: Buffer<Float>
    let logitStride: Int
    /// Tokens in the cache.
    private(set) var cache: [Int32] = []
    private(set) var passes: [Pass] = []
    /// Weight of the favourite against the context's noise of about +-`noise`.
    var favour: Float = 4
    var noise: Float = 3
    /// Replaces the logits of chosen positions: position -> logits.
    var script: [Int: [Float]] = [:]
    private let seed: UInt64

    init(vocabularySize: Int = 32, maskToken: Int? = 31, seed: UInt64 = 1) throws {
        self.vocabularySize = vocabularySize
        self.seed = seed
        blockDecoding = maskToken.map { .init(maskToken: $0, blockSize: 8) }
        compute = try Compute(isa: "scalar", threads: 1)
        logitStride = vocabularySize + 3
        logits = Buffer(count: logitCapacity * logitStride)
    }

    var contextLength = Int.max / 2
    /// Positions that are held; what is older is evicted, as in a ring.
    var held = Int.max
    func canTruncate(to position: Int) -> Bool {
        position == 0 || position >= cache.count - held
    }

    var position: Int { cache.count }
    func truncate(to position: Int) { cache.removeLast(cache.count - position) }
    func reset() { cache.removeAll() }

    func forward(committed: [Int32], open: [Int32], logitRows: [Int], blockSize: Int) {
        precondition(logitRows == logitRows.sorted() && logitRows.count <= logitCapacity)
        passes.append(
            Pass(committed: committed, open: open, logitRows: logitRows, blockSize: blockSize))
        let start = cache.count
        cache += committed
        let shift = blockDecoding?.shiftedLogits ?? false
        for (row, index) in logitRows.enumerated() {
            if index < committed.count {
                var end = start + index + 1
                if blockSize > 1 {  // sees the rest of its block too
                    end = min(cache.count, (start + index) / blockSize * blockSize + blockSize)
                }
                fill(row, position: start + index + 1, seen: cache[..<end], open: [])
            } else {
                let position = cache.count + index - committed.count + (shift ? 1 : 0)
                fill(row, position: position, seen: cache[...], open: open)
            }
        }
    }

    private func fill(_ row: Int, position: Int, seen: ArraySlice<Int32>, open: [Int32]) {
        var context = seed &* 31
        for token in seen { context = Self.mix(context, UInt64(token) &+ 7) }
        for token in open { context = Self.mix(context, UInt64(token) &+ 1007) }
        context = Self.mix(context, UInt64(position))
        let favourite = Int(Self.mix(seed, UInt64(position)) % UInt64(vocabularySize - 1))
        for token in 0..<vocabularySize {
            let random = Self.mix(context, UInt64(token)) >> 40
            var value = (Float(random) / 0x1p24 * 2 - 1) * noise
            if token == favourite { value += favour }
            logits[row * logitStride + token] = script[position]?[token] ?? value
        }
        for padding in vocabularySize..<logitStride {
            logits[row * logitStride + padding] = 1000  // must never be looked at
        }
    }

    private static func mix(_ a: UInt64, _ b: UInt64) -> UInt64 {
        var x = a ^ (b &* 0x9E37_79B9_7F4A_7C15)
        x = (x ^ (x >> 32)) &* 0xD6E8_FEB8_6659_FD93
        x = (x ^ (x >> 32)) &* 0xD6E8_FEB8_6659_FD93
        return x ^ (x >> 32)
    }
}

/// How a test decodes.
enum Way {
    case next
    case blocks(Int, RevealRule)
    case verified(Int)
}

/// Decodes `limit` tokens after `prompt`, or up to a stop token.
func decode(
    _ model: ScriptedModel, _ way: Way, prompt: [Int32] = [1, 2, 3], limit: Int = 40,
    options: SamplingOptions = SamplingOptions(), stop: Set<Int32> = [], traced: Bool = false
) throws -> (tokens: [FixedToken], decoder: any TokenDecoder) {
    let sampler = Sampler(
        options, vocabularySize: model.vocabularySize,
        forbidden: model.blockDecoding.map { [Int32($0.maskToken)] } ?? [], compute: model.compute)
    let state = DecodingState(model, sampler: sampler, stopTokens: stop, traced: traced)
    let decoder: any TokenDecoder =
        switch way {
        case .next: NextTokenDecoder(state)
        case .blocks(let size, let rule):
            try SetBlockDecoder(state, rule: rule, Planner(largest: size, isFixed: true))
        case .verified(let size):
            try VerifiedDecoder(state, Planner(largest: size, isFixed: true))
        }
    try state.append(prompt)
    var tokens: [FixedToken] = []
    while tokens.count < limit, !(tokens.last.map { stop.contains($0.id) } ?? false) {
        try decoder.step(limit: limit - tokens.count, into: &tokens)
    }
    decoder.finish()
    return (tokens, decoder)
}

extension [FixedToken] {
    var ids: [Int32] { map(\.id) }
}

/// Sampling that uses every filter.
func sampling(temperature: Float = 1, seed: UInt64 = 7) -> SamplingOptions {
    var options = SamplingOptions()
    options.temperature = temperature
    options.seed = seed
    return options
}

/// How a test chooses among options.
enum Plan: Equatable {
    case planned
    /// The most positions.
    case everything
    case random(UInt64)
}

extension TokenDecoder {
    /// A pass alone.
    func step(
        limit: Int, into output: inout [FixedToken], _ plan: Plan = .planned
    ) throws(DecodingError) {
        let offer = try offer(limit: limit)
        let possible = offer.options.indices.filter { offer.options[$0].worth > -.infinity }
        let option: Int
        switch plan {
        case .planned: option = planner?.choose(offer, for: state.model) ?? 0
        case .everything: option = possible[possible.count - 1]
        case .random(let seed):
            var random = SplitMix(seed: seed &+ 99 &* UInt64(state.passCount))
            option = possible[Int(random.unit() * Double(possible.count))]
        }
        let before = output.count
        try consume(state.model.pass(self.plan(option)), into: &output)
        planner?.passMade(
            [offer], [option], tokens: output.count - before, seconds: 1e-3, drafting: 0)
    }
}
