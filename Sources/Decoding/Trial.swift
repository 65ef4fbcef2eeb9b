/// Whether several tokens per pass are faster than single ones here: both ways take turns.
///
/// What times and chances predict is off by ten percent and more, always in favour of what looks
/// best. Where they leave a doubt, the way that is faster so far now and then makes room for a lap of
/// the other, and seconds per token of laps that follow each other are compared: a machine whose pace
/// changes slows both. The more is known, and the further apart they are, the fewer such laps.
struct Trial: Sendable {
    /// What the laps of this run have shown.
    private var seen = BlockCost()
    /// That and what earlier runs have shown.
    private var known: BlockCost
    /// Whether this lap is one of blocks; nil before the first.
    private(set) var isInBlocks: Bool?
    /// Tokens and seconds of this lap so far.
    private var lap = (tokens: 0, seconds: 0.0)
    /// The first pass after a change does not count: it opens a block, or finds other weights in the
    /// caches.
    private var skips = true
    /// Whether a lap is over: a process begins with cold caches, and the first lap, a short one, is not
    /// compared.
    private var isWarm = false
    /// Seconds per token of the lap before.
    private var before: (isInBlocks: Bool, pace: Double)?

    /// Tokens of a lap.
    private static let length = 16
    /// Tokens that a prediction counts for, and that what was measured counts for at most: texts change.
    private static let (doubt, memory) = (16.0, 128.0)
    /// Predicted gains that leave a doubt.
    private static let doubtful = 0.75...1.5

    init(_ known: BlockCost) {
        self.known = known.capped(Self.memory)
        seen.since = known.since
    }

    /// Whether the next pass is one in blocks.
    ///
    /// - Parameter gain: Tokens per second in blocks, to those of single tokens, by prediction.
    mutating func choosesBlocks(gain: () -> Double) -> Bool {
        if let isInBlocks {
            guard lap.tokens >= (isWarm ? Self.length : Self.length / 2) else { return isInBlocks }
            note(isInBlocks, lap.seconds / Double(lap.tokens))
        }
        let gain = gain()
        guard Self.doubtful.contains(gain) else {
            (isInBlocks, lap, before) = (gain > 1, (0, 0), nil)
            return gain > 1
        }
        let cost = known.mean(1 / gain, weight: Self.doubt)
        // One lap in seven at first, then so seldom that it costs one percent.
        let isDue = isWarm && Double(seen.since) >= max(96, known.weight * (4 + 10 * abs(cost - 1)))
        if isDue { seen.since = 0 }
        let inBlocks = (cost < 1) != isDue
        skips = skips || inBlocks != isInBlocks
        (isInBlocks, lap) = (inBlocks, (0, 0))
        return inBlocks
    }

    /// The pass that was asked for, or the block that it began, gave `tokens` in `seconds`.
    mutating func add(tokens: Int, seconds: Double) {
        seen.since += tokens
        guard !skips else { return skips = false }
        lap.tokens += tokens
        lap.seconds += seconds
    }

    /// What this run has shown.
    var run: BlockCost {
        guard let isInBlocks, 2 * lap.tokens >= Self.length else { return seen }
        var ended = self
        ended.note(isInBlocks, lap.seconds / Double(lap.tokens))
        return ended.seen
    }

    /// Compares a lap with the one before, if that was of the other way.
    private mutating func note(_ isInBlocks: Bool, _ pace: Double) {
        guard isWarm else { return isWarm = true }
        if let before, before.isInBlocks != isInBlocks {
            let cost = isInBlocks ? pace / before.pace : before.pace / pace
            known = known.capped(Self.memory - Double(Self.length))
            known.add(cost, weight: Double(Self.length))
            seen.add(cost, weight: Double(Self.length))
        }
        before = (isInBlocks, pace)
    }
}

/// Seconds per token in blocks, to those of single tokens, as measured.
public struct BlockCost: Sendable, Equatable {
    /// Tokens that have shown it.
    public private(set) var weight = 0.0
    private var sum = 0.0
    /// Tokens since the way that seemed slower was tried last.
    public var since = 0

    public init() {}

    public var mean: Double { weight > 0 ? sum / weight : 1 }

    /// The mean with a guess that counts for so many tokens.
    func mean(_ guess: Double, weight doubt: Double) -> Double {
        (sum + doubt * guess) / (weight + doubt)
    }

    /// An odd lap, such as one that another program stopped, counts as at most three times faster or
    /// slower.
    public mutating func add(_ cost: Double, weight: Double) {
        guard cost > 0, weight > 0, cost.isFinite, weight.isFinite else { return }
        self.weight += weight
        sum += weight * min(max(cost, 1 / 3), 3)
    }

    /// The same mean with no weight above `most`.
    func capped(_ most: Double) -> BlockCost {
        var result = self
        if weight > most {
            result.sum *= most / weight
            result.weight = most
        }
        return result
    }
}
