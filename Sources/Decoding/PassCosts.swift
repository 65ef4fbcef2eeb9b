internal import WeightFile

/// How long a pass over m positions takes here, the sampler's work on their logits included: measured
/// at some m, interpolated between them.
public struct PassCosts: Sendable, Equatable {
    /// Seconds by positions, with logits of all, 0 where nothing was measured; index 0 is unused.
    private var measured: [Double]
    /// Seconds that a row of logits takes: its part of the output head, and the sampler's work on it.
    public private(set) var rowSeconds = 0.0
    /// How much slower all passes are at the moment: other programs, the processor's clock.
    private var pace = 1.0
    /// Largest m that is kept.
    public static let capacity = 128

    public init() { measured = Array(repeating: 0, count: Self.capacity + 1) }

    /// - Parameter points: Positions and seconds; what is out of range is ignored.
    public init(_ points: [(positions: Int, seconds: Double)], rowSeconds: Double = 0) {
        self.init()
        for point in points where (1...Self.capacity).contains(point.positions) {
            if point.seconds > 0, point.seconds.isFinite {
                measured[point.positions] = point.seconds
            }
        }
        if rowSeconds > 0, rowSeconds.isFinite { self.rowSeconds = rowSeconds }
    }

    public var isEmpty: Bool { !measured.contains { $0 > 0 } }

    /// What was measured, ascending.
    public var points: [(positions: Int, seconds: Double)] {
        measured.indices.filter { measured[$0] > 0 }.map { ($0, measured[$0]) }
    }

    /// The measured points around `positions`; 0 or beyond `capacity` where there is none.
    private func neighbours(_ positions: Int) -> (below: Int, above: Int) {
        var below = min(max(1, positions), Self.capacity)
        var above = below
        while below > 0, measured[below] == 0 { below -= 1 }
        while above <= Self.capacity, measured[above] == 0 { above += 1 }
        return (below, above)
    }

    /// Seconds of a pass over `positions` that computes `rows` rows of logits (all, if nil);
    /// proportional beyond what was measured.
    public func seconds(_ positions: Int, rows: Int? = nil) -> Double {
        let (below, above) = neighbours(positions)
        var seconds = 0.0
        if below == 0 {
            seconds = above <= Self.capacity ? measured[above] : 0
        } else if above == below {
            seconds = measured[below] * max(1, Double(positions) / Double(below))
        } else if above <= Self.capacity {
            let part = Double(positions - below) / Double(above - below)
            seconds = measured[below] + part * (measured[above] - measured[below])
        } else {
            seconds = measured[below] * Double(positions) / Double(below)
        }
        let spared = rowSeconds * Double(positions - (rows ?? positions))
        return pace * max(seconds - spared, seconds / 4)
    }

    /// Takes a pass of this generation into account. What it differs by moves all passes at once, since
    /// most of it is the machine's pace, and the points around it slowly. One outlier, a page read
    /// from disk or a busy machine, moves a point by 2 % at most.
    mutating func update(positions: Int, rows: Int, seconds: Double) {
        guard (1...Self.capacity).contains(positions), !isEmpty else { return }
        let ratio = seconds / self.seconds(positions, rows: rows)
        guard ratio.isFinite else { return }
        let change = min(max(ratio, 0.5), 2) - 1
        pace *= 1 + 0.2 * change
        let (below, above) = neighbours(positions)
        for point in Set([below, above]) where (1...Self.capacity).contains(point) {
            measured[point] *= 1 + 0.02 * change
        }
    }

    /// Measures a model whose cache is empty: passes over open masks, with logits of all, each looked
    /// at by the sampler. The best of 4 rounds counts, and of more where passes are so short that
    /// other work disturbs them. Where passes take seconds, three points must do.
    ///
    /// - Parameters:
    ///   - largest: Largest block that will be asked for.
    ///   - patience: Seconds after which no further round begins.
    public static func measure(
        _ model: any LanguageModel, sampler: Sampler, largest: Int, patience: Double = 1
    ) -> PassCosts {
        let begin = ContinuousClock.now
        func elapsed() -> Double { (ContinuousClock.now - begin).seconds }
        let most = min(2 * largest, model.batchCapacity, capacity)
        var counts = [1, most] + [8, 16, 32, 4, 2, 64].filter { $0 < most }
        counts = counts[0] == counts[1] ? [1] : counts
        let rowCount = min(16, most, model.logitCapacity)
        _ = pass(model, sampler, positions: 1, rows: 1)  // the weights' first touch
        var best: [Int: Double] = [:]
        var fewRows = Double.infinity
        for round in 1...64 {
            for (index, count) in counts.enumerated() {
                if round == 1, index >= 3, elapsed() > 10 * patience { break }
                let time = pass(
                    model, sampler, positions: count, rows: min(count, model.logitCapacity))
                best[count] = min(best[count] ?? .infinity, time)
            }
            if elapsed() > 10 * patience { break }
            fewRows = min(fewRows, pass(model, sampler, positions: rowCount, rows: 1))
            if elapsed() > patience || round >= 4 && elapsed() > 0.15 * patience { break }
        }
        var costs = PassCosts(best.map { ($0.key, $0.value) })
        if rowCount > 1, fewRows.isFinite {
            costs.rowSeconds = max(0, costs.seconds(rowCount) - fewRows) / Double(rowCount - 1)
        }
        return costs
    }

    /// Seconds of one pass over masks.
    private static func pass(
        _ model: any LanguageModel, _ sampler: Sampler, positions: Int, rows: Int
    ) -> Double {
        let mask = Int32(model.blockDecoding?.maskToken ?? 0)
        let start = ContinuousClock.now
        model.forward(
            committed: [], open: Array(repeating: mask, count: positions),
            logitRows: Array(0..<rows), blockSize: 1)
        for row in 0..<rows {
            let begin = row * model.logitStride
            let prediction = sampler.prepare(model.logits, begin: begin, history: [])
            _ = sampler.draw(model.logits, begin: begin, prediction: prediction, position: row)
        }
        return (ContinuousClock.now - start).seconds
    }
}
