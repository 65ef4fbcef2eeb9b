/// Which open positions of a block are decided after a pass. arXiv 2509.04185 §2.4.
public enum RevealRule: Sendable, Equatable {
    /// EB sampler: in the proxy's order, as many as keep the sum of their entropies less the largest
    /// of them within `gamma` nats (eq. 8 and 18).
    case entropyBound(gamma: Float, ErrorProxy)
    /// The first open position, whose whole past is decided, and in the proxy's order as many others
    /// as keep the sum of their entropies within `gamma` nats.
    case firstAndBound(gamma: Float, ErrorProxy)
    /// By confidence c, the most n with (n + 1)(1 - c_n) < `factor` (Fast-dLLM).
    case factor(Float)
    /// Every position more confident than `threshold`.
    case confidence(threshold: Float)

    /// The measure by which the EB sampler orders positions.
    public enum ErrorProxy: String, Sendable, CaseIterable {
        case entropy, confidence, margin
    }

    /// The entropy in nats that a pass may risk, for the rules that bound it.
    public var gamma: Float? {
        switch self {
        case .entropyBound(let gamma, _), .firstAndBound(let gamma, _): gamma
        case .factor, .confidence: nil
        }
    }

    public func validate() throws(DecodingError) {
        if let gamma, !(gamma >= 0) {
            throw .badOption("a gamma of \(gamma) is out of range; choose 0 or more nats")
        }
        switch self {
        case .entropyBound, .firstAndBound: break
        case .factor(let factor):
            guard factor >= 0 else {
                throw .badOption("a factor of \(factor) is out of range; choose 0 or more")
            }
        case .confidence(let threshold):
            guard threshold > 0, threshold <= 1 else {
                throw .badOption("a threshold of \(threshold) is out of range; choose up to 1")
            }
        }
    }

    /// Sorts `open` in the order of this rule and returns how many of its first are to be decided:
    /// at least one where there is any.
    ///
    /// - Parameters:
    ///   - open: Positions in the block.
    ///   - predictions: By position in the block.
    func select(_ open: inout [Int], _ predictions: [Prediction]) -> Int {
        var sorted = 0
        if case .firstAndBound = self, let first = open.indices.min(by: { open[$0] < open[$1] }) {
            open.swapAt(0, first)
            sorted = 1
        }
        // Insertion sort: at most 64 entries, nearly sorted by the pass before, no allocation.
        for end in open.indices.dropFirst(sorted + 1) {
            var at = end
            while at > sorted, precedes(open[at], open[at - 1], predictions) {
                open.swapAt(at, at - 1)
                at -= 1
            }
        }
        return max(min(1, open.count), count(open, predictions))
    }

    /// Whether position `a` is decided before `b`; the earlier one among equals.
    private func precedes(_ a: Int, _ b: Int, _ predictions: [Prediction]) -> Bool {
        let (x, y) = (error(predictions[a]), error(predictions[b]))
        return x < y || (x == y && a < b)
    }

    private func error(_ prediction: Prediction) -> Float {
        switch self {
        case .entropyBound(_, .entropy), .firstAndBound(_, .entropy): prediction.entropy
        case .entropyBound(_, .margin), .firstAndBound(_, .margin): -prediction.margin
        default: -prediction.confidence
        }
    }

    private func count(_ open: [Int], _ predictions: [Prediction]) -> Int {
        switch self {
        case .entropyBound(let gamma, _):
            var (rest, largest): (Float, Float) = (0, 0)  // the sum less the largest, the largest
            for (index, position) in open.enumerated() {
                let entropy = predictions[position].entropy
                if index > 0 { rest += min(largest, entropy) }
                largest = max(largest, entropy)
                if rest > gamma { return index }
            }
            return open.count
        case .firstAndBound(let gamma, _):
            var sum: Float = 0
            for index in open.indices.dropFirst() {
                sum += predictions[open[index]].entropy
                if sum > gamma { return index }
            }
            return open.count
        case .factor(let factor):
            let count = open.indices.last { index in
                Float(index + 2) * (1 - predictions[open[index]].confidence) < factor
            }
            return count.map { $0 + 1 } ?? 0
        case .confidence(let threshold):
            return open.firstIndex { predictions[$0].confidence <= threshold } ?? open.count
        }
    }
}
