internal import TesseraWeightFile

/// Merges the bytes or characters of one piece: lowest rank first, leftmost among equals. A heap over a
/// linked list, so that long pieces take n log n steps.
struct BytePairMerger {
    private struct Candidate {
        var rank: UInt32
        var left: Int32
        /// Its index.
        var merge: UInt32

        @inline(__always)
        func precedes(_ other: Candidate) -> Bool {
            rank != other.rank ? rank < other.rank : left < other.left
        }
    }

    private var ids: [UInt32] = []
    private var next: [Int32] = []
    private var previous: [Int32] = []
    private var heap: [Candidate] = []

    /// Merges `symbols` and appends the result to `output`.
    mutating func merge(
        _ symbols: [UInt32], _ table: MergeTable, into output: inout [Int32]
    ) {
        guard symbols.count > 1 else {
            for symbol in symbols { output.append(Int32(symbol)) }
            return
        }
        ids.removeAll(keepingCapacity: true)
        next.removeAll(keepingCapacity: true)
        previous.removeAll(keepingCapacity: true)
        heap.removeAll(keepingCapacity: true)
        for (index, symbol) in symbols.enumerated() {
            ids.append(symbol)
            next.append(index + 1 < symbols.count ? Int32(index + 1) : -1)
            previous.append(Int32(index - 1))
        }
        for index in 0..<symbols.count - 1 { consider(Int32(index), table) }
        while let candidate = popLowest() {
            let left = Int(candidate.left)
            // Stale where either side has been merged since; a merged-away symbol has no id.
            guard next[left] >= 0,
                table.isMerge(Int(candidate.merge), of: ids[left], ids[Int(next[left])])
            else { continue }
            let right = Int(next[left])
            ids[left] = table.result(of: candidate.merge)
            ids[right] = .max
            next[left] = next[right]
            if next[right] >= 0 { previous[Int(next[right])] = Int32(left) }
            if previous[left] >= 0 { consider(previous[left], table) }
            consider(Int32(left), table)
        }
        var index = 0
        while index >= 0 {
            output.append(Int32(ids[index]))
            index = Int(next[index])
        }
    }

    @inline(__always)
    private mutating func consider(_ left: Int32, _ table: MergeTable) {
        let right = next[Int(left)]
        guard right >= 0 else { return }
        let (a, b) = (ids[Int(left)], ids[Int(right)])
        guard let merge = table.index(a, b) else { return }
        heap.append(Candidate(rank: table.rank(of: merge), left: left, merge: merge))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].precedes(heap[parent]) else { break }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func popLowest() -> Candidate? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        guard !heap.isEmpty else { return first }
        heap[0] = last
        var parent = 0
        while true {
            var child = 2 * parent + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].precedes(heap[child]) { child += 1 }
            guard heap[child].precedes(heap[parent]) else { break }
            heap.swapAt(child, parent)
            parent = child
        }
        return first
    }
}
