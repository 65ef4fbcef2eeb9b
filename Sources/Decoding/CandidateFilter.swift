internal import TesseraKernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Cuts a row of log-probabilities to the tokens that top-k, top-p and min-p leave.
///
/// One pass over the row collects a superset of what can stay; only that is sorted. min-p and the
/// least probability a token of the nucleus can have bound it from below, a heap of k does for top-k.
struct CandidateFilter {
    private let topK: Int
    private let topP: Float
    private let minP: Float
    /// Log-probability, relative to the whole row, that every token of a nucleus reaches: those left
    /// out weigh 1 - p together and none of them more than the lightest inside. Infinite without
    /// top-p, or where top-k comes first and changes the whole.
    private let nucleusFloor: Float
    private var candidates: [Candidate] = []

    struct Candidate {
        var value: Float
        var id: Int32
        /// Likelier first; the lower id among equals.
        func precedes(_ other: Candidate) -> Bool {
            value > other.value || (value == other.value && id < other.id)
        }
    }

    init(_ options: SamplingOptions, vocabularySize: Int) {
        topK = options.topK >= vocabularySize ? 0 : options.topK
        topP = options.topP
        minP = options.minP
        nucleusFloor =
            options.topP < 1 && topK == 0
            ? log((1 - options.topP) / Float(vocabularySize)) - 1e-3 : -.infinity
        if isActive { candidates.reserveCapacity(topK > 0 ? topK + 1 : vocabularySize) }
    }

    var isActive: Bool { topK > 0 || topP < 1 || minP > 0 }

    /// Sets tokens that are filtered out to -infinity, and predicts from the others.
    mutating func apply(
        to logits: Buffer<Float>, _ range: Range<Int>, _ summary: Compute.RowSummary
    ) -> Prediction {
        collect(logits, range, summary)
        let kept = keep(logSumExp: summary.logSumExp)
        logits.withMutableSpan(range) { row in
            for index in row.indices { row[index] = -.infinity }
            for candidate in candidates[..<kept] { row[Int(candidate.id)] = candidate.value }
        }
        return prediction(candidates[..<kept], max: summary.max)
    }

    private mutating func collect(
        _ logits: Buffer<Float>, _ range: Range<Int>, _ summary: Compute.RowSummary
    ) {
        candidates.removeAll(keepingCapacity: true)
        let limits = max(
            summary.logSumExp + nucleusFloor, minP > 0 ? summary.max + log(minP) : -.infinity)
        logits.withSpan(range) { row in
            var floor = limits
            for index in row.indices where row[index] >= floor && row[index] > -.infinity {
                let candidate = Candidate(value: row[index], id: Int32(index))
                if topK == 0 {
                    candidates.append(candidate)
                } else if push(candidate) {
                    floor = max(floor, candidates[0].value)
                }
            }
        }
        candidates.sort { $0.precedes($1) }
    }

    /// Keeps the k best in a heap whose root is the worst of them; true when it is full.
    private mutating func push(_ candidate: Candidate) -> Bool {
        if candidates.count < topK {
            candidates.append(candidate)
            var child = candidates.count - 1
            while child > 0, candidates[(child - 1) / 2].precedes(candidates[child]) {
                candidates.swapAt(child, (child - 1) / 2)
                child = (child - 1) / 2
            }
            return candidates.count == topK
        }
        guard candidate.precedes(candidates[0]) else { return true }
        candidates[0] = candidate
        var parent = 0
        while true {
            var worst = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < topK && candidates[worst].precedes(candidates[child]) {
                worst = child
            }
            if worst == parent { return true }
            candidates.swapAt(parent, worst)
            parent = worst
        }
    }

    /// How many of the sorted candidates stay; at least one.
    private func keep(logSumExp: Float) -> Int {
        guard let best = candidates.first else { return 0 }
        var count = candidates.count
        if topP < 1 {
            // After top-k the nucleus is one of what top-k left.
            var whole: Float = 1
            if topK > 0 {
                whole = candidates.reduce(0) { $0 + exp($1.value - logSumExp) }
            }
            var sum: Float = 0
            count = 0
            while count < candidates.count, sum < topP * whole {
                sum += exp(candidates[count].value - logSumExp)
                count += 1
            }
        }
        if minP > 0 {
            let floor = best.value + log(minP)
            while count > 1, candidates[count - 1].value < floor { count -= 1 }
        }
        return max(1, count)
    }

    private func prediction(_ kept: ArraySlice<Candidate>, max top: Float) -> Prediction {
        var (sum, weighted): (Double, Double) = (0, 0)
        for candidate in kept {
            let below = Double(candidate.value - top)
            let weight = exp(below)
            sum += weight
            weighted += weight * below
        }
        guard let first = kept.first else {
            return Prediction(token: 0, entropy: 0, confidence: 0, margin: 0)
        }
        let second = kept.count > 1 ? exp(Double(kept[1].value - top)) : 0
        return Prediction(
            token: first.id, entropy: Float(max(0, log(sum) - weighted / sum)),
            confidence: Float(1 / sum), margin: Float((1 - second) / sum))
    }
}
