#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Shares bytes out over matrices so that the sum of importance times loss is least: at the optimum
/// a further byte would help each of them alike (reverse water-filling).
struct RateAllocation {
    struct Item {
        var points: [RateCurve.Point]
        var weights: Int
        /// The cost of a loss of 1.
        var importance: Double
    }

    /// The way chosen for each item.
    private(set) var choices: [RateCurve.Point]

    /// Prices per byte between "free" and "nothing is worth it", as powers of two.
    private static let prices = (low: -200.0, high: 100.0)

    /// - Parameter bytes: Bytes that all items may take. The result is nil if even the coarsest steps take more.
    init?(_ items: [Item], bytes: Double) {
        func total(_ choices: [RateCurve.Point]) -> Double {
            zip(items, choices).reduce(0) { $0 + Double($1.0.weights) * $1.1.cost }
        }
        let price = Self.price(from: Self.prices.high, to: Self.prices.low) {
            total(Self.choose(items, $0)) <= bytes
        }
        guard let price else { return nil }
        choices = Self.choose(items, price)
        spend(bytes - total(choices), on: items)
    }

    /// - Parameter loss: Loss that all items may have. The result is nil if even the finest steps lose more.
    init?(_ items: [Item], loss: Double) {
        func total(_ choices: [RateCurve.Point]) -> Double {
            zip(items, choices).reduce(0) { $0 + $1.0.importance * $1.1.loss }
        }
        let price = Self.price(from: Self.prices.low, to: Self.prices.high) {
            total(Self.choose(items, $0)) <= loss
        }
        guard let price else { return nil }
        choices = Self.choose(items, price)
    }

    /// The last price on the way from one power of two to another that `holds`; nil if the first does not.
    private static func price(
        from begin: Double, to end: Double, _ holds: (Double) -> Bool
    ) -> Double? {
        guard holds(pow2(begin)) else { return nil }
        var (good, bad) = (begin, end)
        for _ in 0..<60 {
            let middle = (good + bad) / 2
            if holds(pow2(middle)) { good = middle } else { bad = middle }
        }
        return pow2(good)
    }

    /// The way with the least sum of loss and price, item by item.
    private static func choose(_ items: [Item], _ price: Double) -> [RateCurve.Point] {
        items.map { item in
            let value = Double(item.weights) * price
            var best = item.points[0]
            var least = Double.infinity
            for point in item.points {
                let loss = item.importance * point.loss + value * point.cost
                if loss < least { (least, best) = (loss, point) }
            }
            return best
        }
    }

    /// Where ways are few, a price leaves bytes over: they go where each of them saves most, as long as a better way
    /// of some item fits in.
    private mutating func spend(_ bytes: Double, on items: [Item]) {
        var left = bytes
        while true {
            var best: (index: Int, point: RateCurve.Point, cost: Double)?
            var most = 0.0
            for (index, item) in items.enumerated() {
                for point in item.points where point.cost > choices[index].cost {
                    let cost = Double(item.weights) * (point.cost - choices[index].cost)
                    let gain = item.importance * (choices[index].loss - point.loss) / cost
                    guard cost <= left, gain > most else { continue }
                    (most, best) = (gain, (index, point, cost))
                }
            }
            guard let best else { return }
            choices[best.index] = best.point
            left -= best.cost
        }
    }

    /// The way of an item with the least loss that costs at most `cost` bytes per weight; the cheapest
    /// where none does.
    static func best(_ points: [RateCurve.Point], cost: Double) -> RateCurve.Point? {
        points.filter { $0.cost <= cost }.min { $0.loss < $1.loss }
            ?? points.min { $0.cost < $1.cost }
    }
}

func pow2(_ x: Double) -> Double { exp2(x) }
func log2(_ x: Double) -> Double {
    #if canImport(Glibc)
        Glibc.log2(x)
    #else
        Musl.log2(x)
    #endif
}
