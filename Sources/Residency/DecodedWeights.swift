internal import Glibc
internal import TesseraKernels
internal import TesseraMachine
internal import TesseraWeightFile

/// Coded tiles that were decoded into memory of their own, so that no pass needs to decode them.
@safe final class DecodedWeights {
    private let memory: UnsafeMutableRawPointer
    private let byteCount: Int

    /// The first `count` tiles of a coded matrix.
    struct Part {
        var matrix: Matrix
        var table: TileTable
        /// Ranges of all its tiles in the file.
        var ranges: [Range<Int>]
        var count: Int
    }

    /// Reads and decodes the tiles, and tells the tables where they are.
    ///
    /// - Parameter keepsCache: Whether the page cache has room for what was read, for the next start.
    init(
        _ file: WeightFile, _ parts: [Part], _ compute: Compute, keepsCache: Bool
    ) throws(ResidencyError) {
        // Kernels may read a little beyond a panel.
        byteCount = parts.reduce(4096) { $0 + $1.count * $1.matrix.tileBytes }
        let map = unsafe mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
        guard let map = unsafe map, unsafe map != MAP_FAILED else { throw .noMemory(byteCount) }
        unsafe madvise(map, byteCount, 14)  // MADV_HUGEPAGE
        unsafe memory = map
        // All properties are set: where a part cannot be loaded, `deinit` gives the memory back.
        var offset = 0
        for part in parts {
            try load(part, of: file, at: offset, compute)
            try HotWeights.drop(
                part.ranges[..<part.count], of: file, fromCache: !keepsCache)
            offset += part.count * part.matrix.tileBytes
        }
    }

    private func load(
        _ part: Part, of file: WeightFile, at offset: Int, _ compute: Compute
    ) throws(ResidencyError) {
        let tiles = 0..<part.count
        try HotWeights.load(
            file, [HotWeights.Part(ranges: part.ranges, tiles: tiles, table: part.table)])
        let start = unsafe memory + offset
        guard unsafe compute.decode(part.matrix, tiles: tiles, to: start) else { throw .damaged }
        for tile in tiles {
            // Safe: the store owns both this memory and the table.
            unsafe part.table.set(tile, decoded: start + tile * part.matrix.tileBytes)
        }
    }

    deinit { unsafe munmap(memory, byteCount) }

    /// Stored bytes per second that all threads decode; nil if a tile is damaged.
    ///
    /// - Parameters:
    ///   - matrix: A matrix whose tiles 0..<count are set.
    ///   - storedBytes: Stored bytes of these tiles.
    static func rate(
        _ matrix: Matrix, count: Int, storedBytes: Int, _ compute: Compute
    ) -> Double? {
        guard let room = unsafe malloc(count * matrix.tileBytes) else { return nil }
        defer { unsafe free(room) }
        var best = 0.0
        for _ in 0..<3 {  // the first also touches fresh memory
            let start = ContinuousClock.now
            guard unsafe compute.decode(matrix, tiles: 0..<count, to: room) else { return nil }
            let seconds = (ContinuousClock.now - start).seconds
            best = max(best, Double(storedBytes) / max(seconds, 1e-9))
        }
        return best
    }
}
