internal import TesseraKernels
internal import TesseraMachine
internal import TesseraWeightFile

/// Tiles that are used from the mapping in every pass, fetched before the first pass.
///
/// Streaming goes past the page cache or drops its pages at once, so nothing pushes these tiles out. If
/// somebody lowers a limit, the kernel may drop them instead of ending the program.
enum HotWeights {
    /// Bytes fetched at a time.
    private static let pieceBytes = 8 << 20

    /// Some tiles of a matrix.
    struct Part {
        /// Ranges of all its tiles in the file.
        var ranges: [Range<Int>]
        var tiles: Range<Int>
        var table: TileTable
    }

    /// Fetches the tiles and tells the tables where they are.
    static func load(_ file: WeightFile, _ parts: [Part]) throws(ResidencyError) {
        var pieces: [Range<Int>] = []
        for part in parts {
            guard let first = part.tiles.first, let last = part.tiles.last else { continue }
            var at = part.ranges[first].lowerBound
            let end = part.ranges[last].upperBound
            while at < end {
                pieces.append(at..<min(at + pieceBytes, end))
                at += pieceBytes
            }
        }
        try fetch(pieces, of: file)
        for part in parts {
            for tile in part.tiles {
                let range = part.ranges[tile]
                // Safe: the owner of the table keeps the file open.
                unsafe part.table.set(
                    tile,
                    to: UnsafeRawBufferPointer(
                        start: file.unsafePointer(at: range.lowerBound), count: range.count))
            }
        }
    }

    /// Takes tiles that follow each other out of this process's memory.
    ///
    /// - Parameter fromCache: Out of the page cache too.
    static func drop(
        _ tiles: ArraySlice<Range<Int>>, of file: WeightFile, fromCache: Bool
    ) throws(ResidencyError) {
        guard let first = tiles.first, let last = tiles.last else { return }
        let range = first.lowerBound..<last.upperBound
        file.unmap(range)
        if fromCache { try file.reopened().forget(range) }
    }

    /// Brings pages into memory, several pieces at a time.
    private static func fetch(_ pieces: [Range<Int>], of file: WeightFile) throws(ResidencyError) {
        let reader = try MappedReader(file)
        let monitor = Monitor()
        let progress = LoadProgress()
        let work: @Sendable () -> Void = {
            while let index = monitor.locked({ progress.next(of: pieces.count) }) {
                if case .failure(let error) = unsafe reader.read(pieces[index], slot: 0) {
                    monitor.locked { progress.failure = error }
                }
            }
        }
        let threads = (1..<InputChoice.threads).compactMap { _ in WorkerThread(work) }
        work()
        for thread in threads { thread.join() }
        if let failure = progress.failure { throw failure }
    }
}

/// The pieces that threads have taken; guarded by a monitor.
private final class LoadProgress: @unchecked Sendable {
    private var taken = 0
    var failure: ResidencyError?

    func next(of count: Int) -> Int? {
        guard taken < count, failure == nil else { return nil }
        defer { taken += 1 }
        return taken
    }
}
