/// How easily each position of a block is guessed, by its distance from the text: a chance per offset,
/// averaged over what was seen, old observations fading. It hardly depends on the block's size, so
/// what is expected of every size follows from one curve.
///
/// An offset that was seen seldom is taken to be like the one before it. That flatters what has not
/// been tried, or not for long, and so gets it tried.
public struct OffsetCurve: Sendable, Equatable {
    /// Chance of the first offset, before anything has been seen.
    private let start: Double
    /// Offsets that the model was trained for; beyond them a chance is taken to fall.
    private let trained: Int
    private var weights: [Double]
    private var sums: [Double]

    /// Observations that the neighbour's chance counts for.
    private static let doubt = 2.0
    /// Of the chance before it, at an offset beyond the trained ones.
    static let falloff = 0.9
    /// Observations that are kept of everything seen so far, and of one run at most: an odd text does
    /// not spoil what many have shown.
    static let (memory, share) = (500.0, 30.0)
    /// Observations that a run begins with: enough to choose well, little enough to be overruled by the
    /// text at hand.
    private static let first = 24.0

    public init(start: Double, trained: Int, count: Int = 64) {
        self.start = start
        self.trained = trained
        weights = Array(repeating: 0, count: count)
        sums = weights
    }

    public var count: Int { weights.count }

    /// What was seen: weight and mean at each offset that has any.
    public var points: [(offset: Int, weight: Double, mean: Double)] {
        weights.indices.filter { weights[$0] > 0 }
            .map { ($0, weights[$0], sums[$0] / weights[$0]) }
    }

    /// Counts an observation between 0 and 1; offsets are counted from 0.
    public mutating func add(_ offset: Int, _ value: Double, weight: Double = 1) {
        guard weights.indices.contains(offset), weight > 0, (0...1).contains(value) else { return }
        weights[offset] += weight
        sums[offset] += weight * value
    }

    /// This curve with what one more run has shown.
    func merged(with run: OffsetCurve) -> OffsetCurve {
        var result = self
        for point in run.points {
            result.add(point.offset, point.mean, weight: min(point.weight, Self.share))
        }
        return result.capped(Self.memory)
    }

    /// What a run begins with.
    func beginning() -> OffsetCurve { capped(Self.first) }

    /// Keeps a share of the weight of all that was seen.
    mutating func fade(to share: Double) {
        for offset in weights.indices { scale(offset, by: share) }
    }

    private mutating func scale(_ offset: Int, by factor: Double) {
        weights[offset] *= factor
        sums[offset] *= factor
    }

    /// The same means with no weight above `most`.
    private func capped(_ most: Double) -> OffsetCurve {
        var result = self
        for offset in weights.indices where weights[offset] > most {
            result.scale(offset, by: most / weights[offset])
        }
        return result
    }

    /// Weight and sum of what was seen at an offset.
    func seen(_ offset: Int) -> (weight: Double, sum: Double) { (weights[offset], sums[offset]) }

    /// The chance at every offset.
    public var chances: [Double] {
        var before = start
        return weights.indices.map { offset in
            let guess = offset < trained ? before : before * Self.falloff
            before = (sums[offset] + Self.doubt * guess) / (weights[offset] + Self.doubt)
            return before
        }
    }
}
