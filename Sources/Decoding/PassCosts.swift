internal import WeightFile

/// How long a pass over m positions takes here: measured at some m, interpolated between them.
public struct PassCosts: Sendable, Equatable {
    /// Seconds by positions, 0 where nothing was measured; index 0 is unused.
    private var measured: [Double]
    /// Largest m that is kept.
    public static let capacity = 128

    public init() { measured = Array(repeating: 0, count: Self.capacity + 1) }

    /// - Parameter points: Positions and seconds; what is out of range is ignored.
    public init(_ points: [(positions: Int, seconds: Double)]) {
        self.init()
        for point in points where (1...Self.capacity).contains(point.positions) {
            if point.seconds > 0, point.seconds.isFinite {
                measured[point.positions] = point.seconds
            }
        }
    }

    public var isEmpty: Bool { !measured.contains { $0 > 0 } }

    /// What was measured, ascending.
    public var points: [(positions: Int, seconds: Double)] {
        measured.indices.filter { measured[$0] > 0 }.map { ($0, measured[$0]) }
    }

    /// Seconds of a pass over `positions`; proportional beyond what was measured.
    public func seconds(_ positions: Int) -> Double {
        var below = min(max(1, positions), Self.capacity)
        var above = below
        while below > 0, measured[below] == 0 { below -= 1 }
        while above <= Self.capacity, measured[above] == 0 { above += 1 }
        if below == 0 { return above <= Self.capacity ? measured[above] : 0 }
        if above == below { return measured[below] }
        if above <= Self.capacity {
            let part = Double(positions - below) / Double(above - below)
            return measured[below] + part * (measured[above] - measured[below])
        }
        return measured[below] * Double(positions) / Double(below)
    }

    /// Takes a pass of this generation into account. One outlier, a page read from disk or a busy
    /// machine, moves a value by a fifth at most.
    mutating func update(positions: Int, seconds: Double) {
        guard (1...Self.capacity).contains(positions), !isEmpty else { return }
        let old = self.seconds(positions)
        measured[positions] = old + 0.2 * (min(max(seconds, old / 2), 2 * old) - old)
    }

    /// Measures a model whose cache is empty: passes over open masks, with logits of all. The best of
    /// 4 rounds counts, and of more where passes are so short that other work disturbs them.
    ///
    /// - Parameters:
    ///   - largest: Largest block that will be asked for.
    ///   - patience: Seconds after which no further round begins.
    public static func measure(
        _ model: any LanguageModel, largest: Int, patience: Double = 1
    ) -> PassCosts {
        let mask = Int32(model.blockDecoding?.maskToken ?? 0)
        func pass(_ count: Int) -> Double {
            let start = ContinuousClock.now
            model.forward(
                committed: [], open: Array(repeating: mask, count: count),
                logitRows: Array(0..<min(count, model.logitCapacity)), blockSize: 1)
            return (ContinuousClock.now - start).seconds
        }
        _ = pass(1)  // the weights' first touch
        var best: [Int: Double] = [:]
        let begin = ContinuousClock.now
        let most = min(2 * largest, model.batchCapacity, capacity)
        for round in 1...64 {
            for count in [1, 2, 4, 8, 16, 32, 64, 128] where count <= most {
                best[count] = min(best[count] ?? .infinity, pass(count))
            }
            let elapsed = (ContinuousClock.now - begin).seconds
            if elapsed > patience || round >= 4 && elapsed > 0.15 * patience { break }
        }
        return PassCosts(best.map { ($0.key, $0.value) })
    }
}
