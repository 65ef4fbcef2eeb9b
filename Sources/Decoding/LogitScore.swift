public import TesseraKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How well logits predict a text, and how close they are to another model's.
public struct LogitScore: Sendable, Equatable {
    /// Positions scored.
    public private(set) var tokens = 0
    /// Positions compared with a reference.
    public private(set) var compared = 0
    /// Largest difference of a logit from the reference's.
    public private(set) var largestError: Float = 0
    private var negativeLogLikelihood = 0.0
    private var divergence = 0.0
    private var agreements = 0

    public init() {}

    /// Mean of -ln p(next token), in nats.
    public var meanNLL: Double { negativeLogLikelihood / Double(max(1, tokens)) }
    public var perplexity: Double { exp(meanNLL) }
    /// Mean of KL(reference || model), in nats.
    public var meanKL: Double { divergence / Double(max(1, compared)) }
    /// Share of positions where both have the same likeliest token.
    public var top1Agreement: Double { Double(agreements) / Double(max(1, compared)) }

    /// Scores one position.
    ///
    /// - Parameters:
    ///   - range: The row of `logits`, one value per token.
    ///   - next: The token that follows.
    ///   - reference: The other model's row for the same position, as long.
    /// - Throws: `notFinite` where a logit is, of either model.
    public mutating func add(
        _ logits: Buffer<Float>, _ range: Range<Int>, next: Int32, reference: [Float]?,
        compute: Compute
    ) throws(DecodingError) {
        let summary = compute.summarize(logits, range)
        let bad = max(summary.notFinite, reference?.count { !$0.isFinite } ?? 0)
        guard bad == 0 else { throw .notFinite(count: bad, of: range.count, position: tokens) }
        negativeLogLikelihood += Double(
            summary.logSumExp - logits[range.lowerBound + Int(next)])
        tokens += 1
        guard let reference else { return }
        precondition(reference.count == range.count, "\(reference.count) of \(range.count)")
        var (top, best) = (-Float.infinity, 0)
        for (index, value) in reference.enumerated() where value > top {
            (top, best) = (value, index)
        }
        var (sum, weighted) = (0.0, 0.0)
        logits.withSpan(range) { row in
            for index in row.indices {
                let error = abs(row[index] - reference[index])
                largestError = max(largestError, error)
                let weight = Double(exp(reference[index] - top))
                guard weight > 0 else { continue }
                sum += weight
                let logRatio =
                    Double(reference[index] - top) - Double(row[index] - summary.logSumExp)
                weighted += weight * logRatio
            }
        }
        divergence += max(0, weighted / sum - log(sum))
        agreements += best == summary.argmax ? 1 : 0
        compared += 1
    }
}
