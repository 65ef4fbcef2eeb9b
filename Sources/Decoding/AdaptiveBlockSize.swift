/// Chooses the block size that gives the most tokens per second, from the measured time of passes
/// and from what the text so far has shown: easy text fills large blocks in few passes.
///
/// Each size's tokens and seconds are averaged as they are seen. A size not seen yet is judged by the
/// nearest one that was: further positions of a block are taken to need as many further passes each,
/// which flatters larger blocks and so gets them tried. Now and then the best neighbour is tried
/// again, since texts change.
public final class AdaptiveBlockSize: BlockSizePolicy {
    /// Sizes to choose from, ascending.
    public let sizes: [Int]
    /// The time of passes, kept up to date.
    public private(set) var costs: PassCosts
    /// Whether a block is one pass of ``VerifiedDecoder``, with the draft of the last beside it.
    private let isVerified: Bool
    private var records: [Record?]
    private var current: Int
    /// The size on trial.
    private var trial: Int?
    private var decided = 0
    private var passSeconds = 0.0

    /// Moving averages over the blocks of one size.
    private struct Record {
        var tokens: Double
        var passes: Double
        var seconds: Double
        /// Block counter when it was last seen.
        var seen: Int
        var rate: Double { tokens / max(seconds, 1e-12) }
    }

    /// Blocks between two trials of a neighbour, and the share of the best rate it must promise.
    private static let trialInterval = 16
    private static let trialPromise = 0.85
    /// Blocks after which what was seen of a size is forgotten.
    private static let memory = 100
    /// Weight of the newest block.
    private static let weight = 0.15
    /// Further passes per further position, before anything has been seen.
    private static let guess = 0.15

    public init(costs: PassCosts, largest: Int, isVerified: Bool = false) {
        self.costs = costs
        self.isVerified = isVerified
        sizes = [1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64].filter { $0 <= largest }
        records = Array(repeating: nil, count: sizes.count)
        current = 0
        current = bestIndex()
    }

    public var largest: Int { sizes.last ?? 1 }

    public func nextBlockSize() -> Int {
        let best = bestIndex()
        decided += 1
        for index in records.indices where decided - (records[index]?.seen ?? 0) > Self.memory {
            records[index] = nil
        }
        // A draft is judged by the pass after it: such a trial takes two.
        if isVerified, current == trial, decided % Self.trialInterval == 1 { return sizes[current] }
        (current, trial) = (best, nil)
        if decided % Self.trialInterval == 0 {
            let neighbours = [best - 1, best + 1].filter { sizes.indices.contains($0) }
            if let other = neighbours.max(by: { rate($0) < rate($1) }),
                rate(other) > Self.trialPromise * rate(best)
            {
                (current, trial) = (other, other)
            }
        }
        return sizes[current]
    }

    public func passMeasured(positions: Int, seconds: Double) {
        costs.update(positions: positions, seconds: seconds)
        passSeconds += costs.seconds(positions)
    }

    public func blockFinished(size: Int, tokens: Int, passes: Int) {
        defer { passSeconds = 0 }
        // A block shortened by the token limit tells nothing about its size.
        guard let index = sizes.firstIndex(of: size), passSeconds > 0 else { return }
        let new = Record(
            tokens: Double(tokens), passes: Double(passes), seconds: passSeconds, seen: decided)
        guard let old = records[index] else {
            records[index] = new
            return
        }
        let weight = Self.weight
        records[index] = Record(
            tokens: old.tokens + weight * (new.tokens - old.tokens),
            passes: old.passes + weight * (new.passes - old.passes),
            seconds: old.seconds + weight * (new.seconds - old.seconds), seen: decided)
    }

    public func blockSkipped() { passSeconds = 0 }

    private func bestIndex() -> Int {
        sizes.indices.max { rate($0) < rate($1) } ?? 0
    }

    /// Expected tokens per second.
    private func rate(_ index: Int) -> Double {
        if let record = records[index] { return record.rate }
        let below = records[..<index].lastIndex { $0 != nil }
        let above = records[index...].firstIndex { $0 != nil }
        let near = below ?? above
        return isVerified ? verifiedRate(index, near) : blockRate(index, near)
    }

    private func blockRate(_ index: Int, _ near: Int?) -> Double {
        let size = Double(sizes[index])
        var slope = Self.guess
        if let near, let record = records[near], sizes[near] > 1 {
            slope = (record.passes - 1) / Double(sizes[near] - 1)
        }
        let passes = 1 + (size - 1) * slope
        let first = sizes[index] == 1 ? costs.seconds(1) : costs.seconds(2 * sizes[index])
        return size / max(first + (passes - 1) * costs.seconds(sizes[index]), 1e-12)
    }

    private func verifiedRate(_ index: Int, _ near: Int?) -> Double {
        let size = sizes[index]
        guard size > 1 else { return 1 / max(costs.seconds(1), 1e-12) }
        var tokens = min(Double(size), 2.5)
        if let near, let record = records[near], sizes[near] > 1 {
            // A longer draft helps where the shorter one was mostly accepted; guesses get worse with
            // distance, so of the further positions half as many are counted.
            let full = record.tokens / Double(sizes[near])
            let growth = Double(size) / Double(sizes[near])
            tokens = record.tokens * (growth > 1 ? 1 + (growth - 1) * full / 2 : 1)
            tokens = min(max(1, tokens), Double(size))
        }
        let positions = size + Int(tokens.rounded())
        return tokens / max(costs.seconds(positions), 1e-12)
    }
}
