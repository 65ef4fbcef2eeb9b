internal import Machine
internal import WeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

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

    /// What was measured, as text: positions and seconds; and "row" and those of a row of logits.
    public var lines: [String] {
        points.map { "\($0.positions) \($0.seconds)" } + ["row \(rowSeconds)"]
    }

    /// What `lines` tell; those that tell nothing are passed over.
    public init(reading lines: [String]) {
        var points: [(Int, Double)] = []
        var rowSeconds = 0.0
        for line in lines {
            let fields = line.split(separator: " ")
            guard fields.count == 2, let seconds = Double(fields[1]) else { continue }
            if fields[0] == "row" { rowSeconds = seconds }
            if let positions = Int(fields[0]) { points.append((positions, seconds)) }
        }
        self.init(points, rowSeconds: rowSeconds)
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
    /// from disk or a busy machine, moves a point by 5 % at most.
    mutating func update(positions: Int, rows: Int, seconds: Double) {
        guard (1...Self.capacity).contains(positions), !isEmpty else { return }
        let ratio = seconds / self.seconds(positions, rows: rows)
        guard ratio.isFinite else { return }
        let change = min(max(ratio, 0.5), 2) - 1
        pace *= 1 + 0.2 * change
        let (below, above) = neighbours(positions)
        if below > 0 { measured[below] *= 1 + 0.05 * change }
        if above > below, above <= Self.capacity { measured[above] *= 1 + 0.05 * change }
    }

    /// Measures a model whose cache is empty: passes over open masks, with logits of all, each looked
    /// at by the sampler, in 4 rounds, and in more until their standard errors are below 3 %. No pass is taken to be shorter than one over fewer positions. Where passes take seconds,
    /// three points must do.
    ///
    /// - Parameters:
    ///   - largest: Largest block that will be asked for.
    ///   - patience: Seconds after which no further round begins.
    /// - Throws: `notFinite` where a logit is.
    public static func measure(
        _ model: any LanguageModel, sampler: Sampler, largest: Int, patience: Double = 2
    ) throws(DecodingError) -> PassCosts {
        let begin = ContinuousClock.now
        func elapsed() -> Double { (ContinuousClock.now - begin).seconds }
        /// Short passes are repeated: what the last one left in the caches makes the next faster.
        func settled(_ positions: Int, rows: Int) throws(DecodingError) -> Double {
            var time = try pass(model, sampler, positions: positions, rows: rows)
            for _ in 0..<3 where time < 0.005 {
                time = try pass(model, sampler, positions: positions, rows: rows)
            }
            return time
        }
        let most = min(2 * largest, model.batchCapacity, capacity)
        var counts = [1, most] + [8, 16, 32, 4, 2, 64].filter { $0 < most }
        counts = counts[0] == counts[1] ? [1] : counts
        let rowCount = min(16, most, model.logitCapacity)
        _ = try pass(model, sampler, positions: 1, rows: 1)  // the weights' first touch
        var rounds: [[Double]] = []
        while rounds.count < 64 {
            var round: [Double] = []
            for count in counts {
                if rounds.isEmpty, round.count >= 3, elapsed() > 10 * patience { break }
                round.append(try settled(count, rows: min(count, model.logitCapacity)))
            }
            let isEnough = elapsed() > 10 * patience
            if !isEnough, rowCount > 1 { round.append(try settled(rowCount, rows: 1)) }
            rounds.append(round)
            if isEnough || elapsed() > patience { break }
            if rounds.count >= 4, typical(rounds).allSatisfy({ $0.error < 0.03 * $0.seconds }) {
                break
            }
        }
        let times = typical(rounds)
        var rowSeconds = 0.0
        if times.count > counts.count, let all = counts.firstIndex(of: rowCount) {
            rowSeconds =
                max(0, times[all].seconds - times[counts.count].seconds) / Double(rowCount - 1)
        }
        let points = zip(counts, times).sorted { $0.0 < $1.0 }.map { count, time in
            let missing = max(0, count - model.logitCapacity)
            return (count, time.seconds + rowSeconds * Double(missing), time.error)
        }
        return PassCosts(ascending(points), rowSeconds: rowSeconds)
    }

    /// What each entry of a round takes: its median share of the round, so that a machine whose pace
    /// changes between rounds slows all alike, of a round that is faster than most. And the standard
    /// error of that, from the median deviation.
    private static func typical(_ rounds: [[Double]]) -> [(seconds: Double, error: Double)] {
        let paces = rounds.map { round in
            exp(round.reduce(0) { $0 + log($1) } / Double(round.count))
        }
        let pace = paces.sorted()[(paces.count - 1) / 4]
        return rounds[0].indices.map { index in
            let shares = zip(rounds, paces).filter { index < $0.0.count }.map { $0[index] / $1 }
            let share = median(shares)
            let deviation = 1.4826 * median(shares.map { abs($0 - share) })
            return (pace * share, pace * 1.2533 * deviation / Double(shares.count).squareRoot())
        }
    }

    private static func median(_ values: [Double]) -> Double {
        values.sorted()[(values.count - 1) / 2]
    }

    /// The nearest times that do not fall: neighbours that do, or that rise by less than their
    /// standard error, are replaced by their mean.
    static func ascending(
        _ points: [(positions: Int, seconds: Double, error: Double)]
    ) -> [(positions: Int, seconds: Double)] {
        struct Run {
            var sum: Double
            var count: Double
            var variance: Double
            var mean: Double { sum / count }
            var error: Double { variance.squareRoot() / count }
        }
        var runs: [Run] = []
        for point in points {
            runs.append(Run(sum: point.seconds, count: 1, variance: point.error * point.error))
            while runs.count > 1 {
                let (a, b) = (runs[runs.count - 2], runs[runs.count - 1])
                let error = (a.error * a.error + b.error * b.error).squareRoot()
                guard a.mean > b.mean - error else { break }
                runs.removeLast(2)
                runs.append(
                    Run(
                        sum: a.sum + b.sum, count: a.count + b.count,
                        variance: a.variance + b.variance))
            }
        }
        let seconds = runs.flatMap { Array(repeating: $0.mean, count: Int($0.count)) }
        return zip(points, seconds).map { ($0.positions, $1) }
    }

    /// Seconds of one pass over masks.
    private static func pass(
        _ model: any LanguageModel, _ sampler: Sampler, positions: Int, rows: Int
    ) throws(DecodingError) -> Double {
        let mask = Int32(model.blockDecoding?.maskToken ?? 0)
        let start = ContinuousClock.now
        try model.pass(
            committed: [], open: Array(repeating: mask, count: positions),
            logitRows: Array(0..<rows))
        for row in 0..<rows {
            let begin = row * model.logitStride
            let prediction = try sampler.prepare(model.logits, begin: begin, history: [])
            _ = sampler.draw(model.logits, begin: begin, prediction: prediction, position: row)
        }
        return (ContinuousClock.now - start).seconds
    }
}
