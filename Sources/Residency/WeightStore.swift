public import Kernels
public import WeightFile

/// The matrices of a model, wherever their bytes are: in the mapping, in memory of their own, or still
/// on disk until a pass needs them.
public final class WeightStore {
    public let plan: ResidencyPlan
    /// How streamed tiles are read; nil where all weights stay.
    public let method: InputMethod?
    private let file: WeightFile
    private let hot: HotWeights?
    let stream: TileStream?
    /// What is done where weights cannot be read in the middle of a pass.
    public let lost: (String) -> Never
    private var entries: [String: Entry] = [:]

    struct Entry {
        var matrix: Matrix
        var table: TileTable
        var tileRanges: [Range<Int>]
        var hotTiles: Int
        /// Of the stream.
        var segments: Range<Int>
    }

    /// Reads what stays in memory.
    ///
    /// - Parameters:
    ///   - plan: Made for this file.
    ///   - lost: Ends the program; gets what happened, where and what to do.
    public init(
        _ file: WeightFile, plan: ResidencyPlan, method: InputMethod = .auto,
        lost: @escaping (String) -> Never
    ) throws(ResidencyError) {
        self.file = file
        self.plan = plan
        self.lost = lost
        guard !plan.isResident else {
            (self.method, hot, stream) = (nil, nil, nil)
            return
        }
        var segments: [Segment] = []
        for item in plan.items {
            guard let record = file.tensor(item.name) else { continue }
            let ranges = file.tileRanges(of: record)
            let first = segments.count
            segments += plan.segments(ranges, from: item.hotTiles)
            let table = TileTable(count: ranges.count)
            entries[item.name] = Entry(
                matrix: file.matrix(record, tiles: table), table: table, tileRanges: ranges,
                hotTiles: item.hotTiles, segments: first..<segments.count)
        }
        let slotBytes = segments.reduce(0) { max($0, $1.bytes.count) } + 2 * 4096
        let slots = max(4, plan.windowBytes / slotBytes)
        let choice = try InputChoice(file, method, segments, slots: slots, slotBytes: slotBytes)
        self.method = choice.method
        hot = try HotWeights(file, entries.values.map { ($0.tileRanges, $0.hotTiles, $0.table) })
        stream = try TileStream(
            segments, reader: choice.reader, slots: slots, threads: InputChoice.threads)
    }

    deinit { stream?.stop() }

    /// The matrices of one step, which multiply the same activations.
    ///
    /// - Parameter names: In the order of the plan, without gaps.
    public func group(_ names: [String]) -> WeightGroup {
        let found = names.map { entries[$0] }
        let matrices = zip(names, found).map { name, entry in
            entry?.matrix ?? file.matrix(name)
        }
        return WeightGroup(MatrixGroup(matrices), store: self, entries: found)
    }

    /// Whether counters also hold every single read.
    public func noteReads(_ isOn: Bool) { stream?.noteReads(isOn) }

    /// What has been streamed since the last call.
    public func takeCounters() -> StreamCounters { stream?.takeCounters() ?? StreamCounters() }
}

extension ResidencyPlan {
    /// Cuts tiles `hot...` of a matrix into pieces to read at a time.
    ///
    /// - Parameter ranges: Of all its tiles, in the file.
    func segments(_ ranges: [Range<Int>], from hot: Int) -> [Segment] {
        var segments: [Segment] = []
        var begin = hot
        while begin < ranges.count {
            var end = begin + 1
            let start = ranges[begin].lowerBound
            while end < ranges.count, ranges[end].upperBound - start <= segmentBytes { end += 1 }
            segments.append(
                Segment(tiles: begin..<end, bytes: start..<ranges[end - 1].upperBound))
            begin = end
        }
        return segments
    }
}

/// Matrices of one step of a pass, some of whose tiles may have to come from disk first.
public final class WeightGroup {
    public let matrices: MatrixGroup
    private unowned let store: WeightStore
    private let entries: [WeightStore.Entry?]
    private let segments: Range<Int>
    /// Segments multiplied at a time, so that the window goes on being filled.
    private static let longestRun = 4

    init(_ matrices: MatrixGroup, store: WeightStore, entries: [WeightStore.Entry?]) {
        self.matrices = matrices
        self.store = store
        self.entries = entries
        let ranges = entries.compactMap { $0?.segments }.filter { !$0.isEmpty }
        segments = (ranges.first?.lowerBound ?? 0)..<(ranges.last?.upperBound ?? 0)
    }

    /// Calls `step`, which multiplies by `matrices`, as often as it takes until every tile has been
    /// selected once.
    public func forEachPart(_ step: () -> Void) {
        guard let stream = store.stream, !segments.isEmpty else { return step() }
        for (index, entry) in entries.enumerated() {
            if let entry { matrices.select(0..<entry.hotTiles, of: index) }
        }
        step()
        var number = stream.skip(to: segments.lowerBound)
        let end = number + segments.count
        while number < end {
            switch stream.wait(for: number, most: min(end - number, Self.longestRun)) {
            case .failure(let error): store.lost(error.description)
            case .success(let count):
                select(number..<number + count, stream)
                step()
                number += count
                stream.release(below: number)
            }
        }
        for index in entries.indices { matrices.select(allOf: index) }
    }

    /// Selects the tiles of these segments and tells their tables where they are.
    private func select(_ numbers: Range<Int>, _ stream: TileStream) {
        for index in entries.indices { matrices.select(0..<0, of: index) }
        let first = segments.lowerBound
        let offset = numbers.lowerBound % stream.segments.count - first
        for (step, number) in numbers.enumerated() {
            let segmentIndex = first + offset + step
            let segment = stream.segments[segmentIndex]
            guard
                let index = entries.firstIndex(where: {
                    $0?.segments.contains(segmentIndex) ?? false
                }), let entry = entries[index]
            else { continue }
            let address = unsafe stream.address(of: number)
            for tile in segment.tiles {
                let range = entry.tileRanges[tile]
                // Safe: the segment's bytes stay at `address` until its release.
                unsafe entry.table.set(
                    tile,
                    to: UnsafeRawBufferPointer(
                        start: address + (range.lowerBound - segment.bytes.lowerBound),
                        count: range.count))
            }
            let selected = matrices.selected(of: index)
            let begin = selected.isEmpty ? segment.tiles.lowerBound : selected.lowerBound
            matrices.select(begin..<segment.tiles.upperBound, of: index)
        }
    }
}
