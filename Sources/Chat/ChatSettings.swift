public import TesseraDecoding

/// Settings that can be changed in the middle of a chat.
public struct ChatSettings: Sendable {
    public var sampling: SamplingOptions
    /// Most tokens of an answer.
    public var maxTokens: Int

    public init(sampling: SamplingOptions, maxTokens: Int) {
        self.sampling = sampling
        self.maxTokens = maxTokens
    }

    /// Why a setting was not changed.
    public struct Failure: Error, CustomStringConvertible {
        public var description: String
    }

    /// - Parameter name: As the option is called, without dashes before it.
    public mutating func set(_ name: String, to text: String) throws(Failure) {
        func number<T: LosslessStringConvertible>(_ kind: String) throws(Failure) -> T {
            guard let value = T(text) else {
                throw Failure(description: "\(name) takes \(kind), not '\(text)'")
            }
            return value
        }
        var changed = self
        switch name {
        case "temperature", "temp": changed.sampling.temperature = try number("a number")
        case "top-k": changed.sampling.topK = try number("a whole number")
        case "top-p": changed.sampling.topP = try number("a number")
        case "min-p": changed.sampling.minP = try number("a number")
        case "repeat-penalty": changed.sampling.repeatPenalty = try number("a number")
        case "seed": changed.sampling.seed = try number("a whole number of 0 or more")
        case "max-tokens": changed.maxTokens = try number("a whole number")
        default:
            throw Failure(description: "there is no setting '\(name)'; /set lists them")
        }
        do throws(DecodingError) {
            try changed.sampling.validate()
        } catch {
            throw Failure(description: error.description)
        }
        guard changed.maxTokens > 0 else {
            throw Failure(description: "max-tokens takes 1 or more")
        }
        self = changed
    }

    /// All settings, one on a line.
    public var text: String {
        """
        temperature \(sampling.temperature)
        top-k \(sampling.topK)
        top-p \(sampling.topP)
        min-p \(sampling.minP)
        repeat-penalty \(sampling.repeatPenalty)
        seed \(sampling.seed)
        max-tokens \(maxTokens)
        """
    }
}
