public import TesseraWeightFile

/// How a distribution is made from logits. Filters apply in this order: repeat penalty,
/// temperature, top-k, top-p, min-p, as in Hugging Face transformers.
public struct SamplingOptions: Sendable, Equatable {
    /// 0 is greedy; the filters are then without effect.
    public var temperature: Float = 0
    /// The k likeliest tokens; 0 is off.
    public var topK = 0
    /// The fewest likeliest tokens that together have this probability; 1 is off.
    public var topP: Float = 1
    /// Tokens at least this likely relative to the likeliest; 0 is off.
    public var minP: Float = 0
    /// Divides positive and multiplies negative logits of recent tokens; 1 is off.
    public var repeatPenalty: Float = 1
    /// How many tokens count as recent.
    public var repeatWindow = 64
    public var seed: UInt64 = 0

    public init() {}

    /// The options where the user names none: those of the model, if it has any. Otherwise an answer is drawn so
    /// that even small models do not repeat themselves for ever. Models that fill blocks decode greedily, as they
    /// were published, and a text is continued with the likeliest token.
    ///
    /// - Parameter chat: Whether the model is to answer a message.
    public init(for config: ModelConfig, chat: Bool) {
        if config.sampling != ModelConfig.SamplingDefaults() {
            temperature = config.sampling.temperature
            topK = config.sampling.topK
            topP = config.sampling.topP
        } else if chat, config.blockDecoding == nil {
            (temperature, topK, topP, minP, repeatPenalty) = (0.8, 40, 0.95, 0.05, 1.1)
        }
    }

    /// The same way of drawing with noise of its own for one of several sequences; sequence 0 keeps
    /// the seed as it is.
    public func forSequence(_ index: Int) -> SamplingOptions {
        var options = self
        options.seed = RandomSource.seed(seed, sequence: index)
        return options
    }

    public var isGreedy: Bool { temperature == 0 }

    /// Throws if a value is outside its range.
    public func validate() throws(DecodingError) {
        guard temperature >= 0, temperature.isFinite else {
            throw .badOption("a temperature of \(temperature) is out of range; choose 0 or more")
        }
        guard topK >= 0 else { throw .badOption("top-k \(topK) is out of range; 0 is off") }
        guard topP > 0, topP <= 1 else {
            throw .badOption("top-p \(topP) is out of range; choose above 0, up to 1")
        }
        guard minP >= 0, minP <= 1 else {
            throw .badOption("min-p \(minP) is out of range; choose 0 to 1")
        }
        guard repeatPenalty >= 0.01, repeatPenalty <= 100 else {
            throw .badOption(
                "a repeat penalty of \(repeatPenalty) is out of range; choose 0.01 to 100, 1 is off"
            )
        }
        guard repeatWindow >= 0 else {
            throw .badOption("a repeat window of \(repeatWindow) is out of range; 0 is off")
        }
    }
}
