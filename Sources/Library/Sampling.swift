internal import TesseraDecoding

/// How tokens are drawn. Filters apply in this order: repeat penalty, temperature, top-k, top-p, min-p.
public struct Sampling: Sendable, Equatable {
    /// 0 takes the likeliest token; filters are then without effect.
    public var temperature: Float
    /// Draws from the k likeliest tokens; 0 is off.
    public var topK: Int
    /// Draws from the fewest likeliest tokens that together have this probability; 1 is off.
    public var topP: Float
    /// Leaves out tokens less likely than this share of the likeliest; 0 is off.
    public var minP: Float
    /// Divides positive and multiplies negative logits of the last 64 tokens; 1 is off.
    public var repeatPenalty: Float
    /// Seed of the random numbers; nil: another every time.
    public var seed: UInt64?

    public init(
        temperature: Float = 0.8, topK: Int = 40, topP: Float = 0.95, minP: Float = 0.05,
        repeatPenalty: Float = 1.1, seed: UInt64? = nil
    ) {
        (self.temperature, self.topK, self.topP) = (temperature, topK, topP)
        (self.minP, self.repeatPenalty, self.seed) = (minP, repeatPenalty, seed)
    }

    /// The likeliest token each time.
    public static let greedy = Sampling(
        temperature: 0, topK: 0, topP: 1, minP: 0, repeatPenalty: 1)

    init(_ options: SamplingOptions) {
        self.init(
            temperature: options.temperature, topK: options.topK, topP: options.topP,
            minP: options.minP, repeatPenalty: options.repeatPenalty)
    }

    /// The same for one of several answers to one prompt: each has random numbers of its own, made from the
    /// seed. Answer 0 keeps the seed.
    public func answer(_ index: Int) -> Sampling {
        guard let seed else { return self }
        var options = SamplingOptions()
        options.seed = seed
        var sampling = self
        sampling.seed = options.forSequence(index).seed
        return sampling
    }

    /// What decoders take.
    ///
    /// - Throws: `badOption` where a value is outside its range.
    func options() throws(ModelError) -> SamplingOptions {
        var options = SamplingOptions()
        (options.temperature, options.topK, options.topP) = (temperature, topK, topP)
        (options.minP, options.repeatPenalty) = (minP, repeatPenalty)
        options.seed = seed ?? .random(in: 0...UInt64(UInt32.max))
        do {
            try options.validate()
        } catch {
            throw ModelError(.badOption, error.description)
        }
        return options
    }
}
