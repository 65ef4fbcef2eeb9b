internal import TesseraGrammars
public import TesseraKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// What a decoder knows about a position before it draws there.
public struct Prediction: Sendable, Equatable {
    /// Likeliest token.
    public var token: Int32
    /// Entropy in nats of the distribution that tokens are drawn from; greedy: entropy of softmax(logits).
    public var entropy: Float
    /// Probability of the likeliest token, in the same distribution.
    public var confidence: Float
    /// `confidence` less the probability of the runner-up.
    public var margin: Float
}

/// A token drawn, with its log-probability in nats in the distribution it was drawn from.
public struct Drawn: Sendable, Equatable {
    public var token: Int32
    public var logProbability: Float
}

/// Turns rows of logits into distributions, in place, and draws from them. Allocates nothing after
/// its setup; every step is a few passes over a row, whatever the vocabulary.
public final class Sampler {
    public let options: SamplingOptions
    let vocabularySize: Int
    private let compute: Compute
    private let random: RandomSource
    /// Ids that are never produced: the mask token, padding of the vocabulary.
    private let forbidden: [Int32]
    /// When each token was last seen by the repeat penalty, `[vocabularySize]`.
    private let stamps: Buffer<UInt32>
    private var stamp: UInt32 = 0
    private var filter: CandidateFilter
    /// The grammar that the text must follow; nil: none.
    var grammar: GrammarText?

    public init(
        _ options: SamplingOptions, vocabularySize: Int, forbidden: [Int32], compute: Compute
    ) {
        self.options = options
        self.vocabularySize = vocabularySize
        self.compute = compute
        self.forbidden = Set(forbidden).filter { $0 >= 0 && Int($0) < vocabularySize }.sorted()
        random = RandomSource(seed: options.seed)
        stamps = Buffer(count: options.repeatPenalty == 1 ? 0 : vocabularySize)
        filter = CandidateFilter(options, vocabularySize: vocabularySize)
    }

    /// A sampler of the same tokens that draws in another way.
    public func with(_ options: SamplingOptions) -> Sampler {
        Sampler(
            options, vocabularySize: vocabularySize, forbidden: forbidden, compute: compute)
    }

    /// Makes the row at `begin` of `logits` the distribution to sample from: log-probabilities up
    /// to a constant, -infinity where nothing is drawn.
    ///
    /// - Parameters:
    ///   - history: Tokens before the position, oldest first.
    ///   - block: Tokens after `history` that are decided too.
    /// - Throws: `notFinite` where a logit is; `noToken` where the grammar allows none.
    public func prepare(
        _ logits: Buffer<Float>, begin: Int, history: [Int32], block: ArraySlice<Int32> = []
    ) throws(DecodingError) -> Prediction {
        let range = begin..<begin + vocabularySize
        for id in forbidden { logits[begin + Int(id)] = -.infinity }
        if options.repeatPenalty != 1 { penalize(logits, begin, history, block) }
        var summary = compute.summarize(logits, range)
        // Values that are not finite are found before the grammar hides them.
        let bad = summary.notFinite - forbidden.count
        guard bad == 0 else {
            throw .notFinite(
                count: bad, of: vocabularySize, position: history.count + block.count)
        }
        if let grammar {
            leave(try grammar.mask(history, block), of: logits, range)
            summary = compute.summarize(logits, range)
            guard summary.max > -.infinity else { throw .noToken(history.count + block.count) }
        }
        if !options.isGreedy, options.temperature != 1 {
            heat(logits, range, below: summary.max)
            summary = compute.summarize(logits, range)
        }
        if !options.isGreedy, filter.isActive {
            return filter.apply(to: logits, range, summary)
        }
        let top = exp(summary.max - summary.logSumExp)
        return Prediction(
            token: Int32(summary.argmax), entropy: summary.entropy, confidence: top,
            margin: top - exp(summary.second - summary.logSumExp))
    }

    /// Draws from a prepared row.
    ///
    /// - Parameter position: The token's position in the sequence; it alone selects the noise.
    public func draw(
        _ logits: Buffer<Float>, begin: Int, prediction: Prediction, position: Int
    ) -> Drawn {
        let top = logits[begin + Int(prediction.token)]
        let topLog = log(max(prediction.confidence, .leastNonzeroMagnitude))
        guard !options.isGreedy else {
            return Drawn(token: prediction.token, logProbability: topLog)
        }
        let stream = random.stream(position: position)
        var winner = Int(prediction.token)
        var best = RandomSource.gumbel(RandomSource.bits(stream, token: winner))
        logits.withSpan(begin..<begin + vocabularySize) { row in
            for index in row.indices {
                let bits = RandomSource.bits(stream, token: index)
                let below = row[index] - top
                if below + RandomSource.gumbelBound(bits) < Float(best) { continue }
                let value = Double(below) + RandomSource.gumbel(bits)
                // Equal values: the lower id, so that the scan's order is without effect.
                if value > best || (value == best && index < winner) {
                    (best, winner) = (value, index)
                }
            }
        }
        return Drawn(
            token: Int32(winner), logProbability: topLog + logits[begin + winner] - top)
    }

    /// Takes every token out that is not in `mask`.
    private func leave(_ mask: TokenMask, of logits: Buffer<Float>, _ range: Range<Int>) {
        logits.withMutableSpan(range) { row in
            for (word, allowed) in mask.words.enumerated() where allowed != .max {
                let begin = word * 64
                if allowed == 0 {
                    for index in begin..<min(begin + 64, row.count) { row[index] = -.infinity }
                    continue
                }
                var missing = ~allowed
                while missing != 0 {
                    let index = begin + missing.trailingZeroBitCount
                    guard index < row.count else { break }
                    row[index] = -.infinity
                    missing &= missing - 1
                }
            }
        }
    }

    /// Divides by the temperature. The largest logit is made 0 first, so that no temperature above zero is too
    /// small: a quotient that leaves the range of numbers has a chance of zero.
    private func heat(_ logits: Buffer<Float>, _ range: Range<Int>, below most: Float) {
        let temperature = options.temperature
        logits.withMutableSpan(range) { row in
            for index in row.indices { row[index] = (row[index] - most) / temperature }
        }
    }

    private func penalize(
        _ logits: Buffer<Float>, _ begin: Int, _ history: [Int32], _ block: ArraySlice<Int32>
    ) {
        stamp &+= 1
        let rest = max(0, options.repeatWindow - block.count)
        for id in block.suffix(options.repeatWindow) { penalize(logits, begin, Int(id)) }
        for id in history.suffix(rest) { penalize(logits, begin, Int(id)) }
    }

    private func penalize(_ logits: Buffer<Float>, _ begin: Int, _ id: Int) {
        guard id >= 0, id < vocabularySize, stamps[id] != stamp else { return }
        stamps[id] = stamp
        let value = logits[begin + id]
        let penalty = options.repeatPenalty
        logits[begin + id] = value > 0 ? value / penalty : value * penalty
    }
}
