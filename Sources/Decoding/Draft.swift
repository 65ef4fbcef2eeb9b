/// Tokens guessed ahead of the text, to be verified.
public struct Draft: Sendable {
    public private(set) var tokens: [Int32] = []
    /// For each token, 0 to 1. A draft from masks: the model's probability of the likeliest token at that position.
    /// Other drafts: the chance that the token is right if all before it are.
    public private(set) var confidences: [Float] = []

    public init() {}

    public var count: Int { tokens.count }
    public var isEmpty: Bool { tokens.isEmpty }

    /// Tokens that are expected to be right, where confidences are chances.
    var expected: Double {
        var (reach, sum) = (1.0, 0.0)
        for confidence in confidences {
            reach *= Double(confidence)
            sum += reach
        }
        return sum
    }

    public mutating func append(_ token: Int32, _ confidence: Float) {
        tokens.append(token)
        confidences.append(confidence)
    }

    mutating func cut(to count: Int) {
        guard tokens.count > count else { return }
        tokens.removeLast(tokens.count - count)
        confidences.removeLast(confidences.count - count)
    }

    mutating func clear() { cut(to: 0) }
}

/// How drafts fared.
public struct DraftCounts: Sendable, Equatable {
    /// Draft tokens that were computed to be verified.
    public var drafted = 0
    /// Verified draft tokens that are in the text.
    public var accepted = 0

    public init() {}

    /// The share that was right; nil if nothing was drafted.
    public var acceptance: Double? {
        drafted > 0 ? Double(accepted) / Double(drafted) : nil
    }
}
