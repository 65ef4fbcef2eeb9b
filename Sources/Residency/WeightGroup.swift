public import TesseraKernels

/// Matrices of one step of a pass, some of whose tiles may have to come from disk first.
public final class WeightGroup {
    private var current: MatrixGroup
    private let store: WeightStore
    private let names: [String]
    private var entries: [WeightStore.Entry?] = []
    private var segments = 0..<0
    /// Version of the plan that the two above belong to.
    private var version = -1
    /// Segments multiplied at a time, so that the window goes on being filled.
    private static let longestRun = 4

    init(_ matrices: MatrixGroup, names: [String], store: WeightStore) {
        current = matrices
        self.names = names
        self.store = store
        take()
    }

    /// The matrices to multiply by. After a new plan that streams weights which were used from the mapping, this is
    /// another group of the same shape.
    public var matrices: MatrixGroup {
        if version != store.version { follow() }
        return current
    }

    /// Follows a new plan, which may have given matrices tables of tiles.
    private func follow() {
        if entries.allSatisfy({ $0 == nil }) { current = store.matrices(names) }
        take()
    }

    /// Takes the entries and segments of the store's current plan.
    private func take() {
        entries = names.map { store.entry($0) }
        let ranges = entries.compactMap { $0?.segments }.filter { !$0.isEmpty }
        segments = (ranges.first?.lowerBound ?? 0)..<(ranges.last?.upperBound ?? 0)
        version = store.version
    }

    /// Calls `step`, which multiplies by `matrices`, as often as it takes until every tile has been
    /// selected once.
    ///
    /// - Throws: Where a tile cannot be read.
    public func forEachPart(_ step: () -> Void) throws(ResidencyError) {
        guard let stream = store.stream else { return step() }
        let matrices = matrices
        guard !segments.isEmpty else { return step() }
        for (index, entry) in entries.enumerated() {
            if let entry { matrices.select(0..<entry.hotTiles, of: index) }
        }
        step()
        var number = stream.skip(to: segments.lowerBound)
        let end = number + segments.count
        while number < end {
            switch stream.wait(for: number, most: min(end - number, Self.longestRun)) {
            case .failure(let error):
                for index in entries.indices { matrices.select(allOf: index) }
                throw error
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
        let matrices = matrices
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
