/// A mean in which old observations fade. A guess counts while there are few observations.
struct FadingMean: Sendable, Equatable {
    private(set) var weight = 0.0
    private var sum = 0.0

    /// - Parameter memory: Observations that count at most.
    mutating func add(_ value: Double, memory: Double) {
        if weight > memory - 1 {
            sum *= (memory - 1) / weight
            weight = memory - 1
        }
        weight += 1
        sum += value
    }

    /// Keeps a share of the weight of all that was observed.
    mutating func fade(to share: Double) {
        weight *= share
        sum *= share
    }

    /// - Parameter doubt: Observations that the guess counts for.
    func mean(_ guess: Double, doubt: Double) -> Double {
        (sum + doubt * guess) / (weight + doubt)
    }
}

/// How often a model's confidence is right, by ranges of it.
struct ConfidenceCurve: Sendable {
    private var ranges = Array(repeating: FadingMean(), count: limits.count + 1)

    private static let limits: [Float] = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.999]
    private static let (memory, doubt) = (128.0, 3.0)

    private static func range(_ confidence: Float) -> Int {
        limits.firstIndex { confidence < $0 } ?? limits.count
    }

    mutating func add(_ confidence: Float, isRight: Bool) {
        ranges[Self.range(confidence)].add(isRight ? 1 : 0, memory: Self.memory)
    }

    /// The chance that a token of this confidence is right.
    func chance(_ confidence: Float) -> Double {
        ranges[Self.range(confidence)].mean(Double(confidence), doubt: Self.doubt)
    }
}

/// How easily each position of a block that is not verified is guessed, by its distance from the text.
///
/// In a window that slides, it is the chance that a position is fixed after a pass that fixed all positions before it.
/// Otherwise, it is the chance that a position is decided in a pass that an earlier position also needed. It hardly depends on
/// the block's size. An offset with few observations counts as the one before it. That makes sizes that
/// were not tried look good, so that they are tried.
struct OffsetCurve: Sendable {
    /// The chance at each offset from 1 on.
    private(set) var chances: [Double]
    private var offsets: [FadingMean]

    private static let (start, doubt) = (0.75, 2.0)
    /// Share of the weight of older observations that a pass keeps, at all offsets.
    private static let share = 1 - 1 / 50.0

    init(count: Int) {
        offsets = Array(repeating: FadingMean(), count: count)
        chances = Array(repeating: Self.start, count: count)
    }

    /// - Parameter holds: By offset from 1 on, as far as it is known.
    mutating func add(_ holds: some Sequence<Bool>) {
        for offset in offsets.indices { offsets[offset].fade(to: Self.share) }
        for (offset, holds) in zip(offsets.indices, holds) {
            offsets[offset].add(holds ? 1 : 0, memory: .infinity)
        }
        var before = Self.start
        for offset in offsets.indices {
            before = offsets[offset].mean(before, doubt: Self.doubt)
            chances[offset] = before
        }
    }
}
