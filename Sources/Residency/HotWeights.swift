internal import Kernels
internal import WeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Tiles that stay in memory of their own, where no page cache drops them.
@safe final class HotWeights: @unchecked Sendable {
    private let memory: UnsafeMutableRawPointer
    private let byteCount: Int

    /// Bytes read at a time.
    private static let pieceBytes = 8 << 20

    /// One stretch of a matrix: whole pages of the file around its first tiles.
    private struct Piece: Sendable {
        var bytes: Range<Int>
        var offset: Int
    }

    /// Reads the first `count` tiles of each matrix and tells the tables where they are.
    init(
        _ file: WeightFile, _ matrices: [(ranges: [Range<Int>], count: Int, table: TileTable)]
    ) throws(ResidencyError) {
        var pieces: [Piece] = []
        var size = 0
        for matrix in matrices where matrix.count > 0 {
            let range =
                matrix.ranges[0].lowerBound..<matrix.ranges[matrix.count - 1].upperBound
            let start = range.lowerBound / CopyingReader.alignment * CopyingReader.alignment
            var at = range.lowerBound
            while at < range.upperBound {
                let end = min((at / Self.pieceBytes + 1) * Self.pieceBytes, range.upperBound)
                pieces.append(
                    Piece(
                        bytes: at..<end,
                        offset: size + at / CopyingReader.alignment * CopyingReader.alignment
                            - start))
                at = end
            }
            size += CopyingReader.up(range.upperBound) - start
        }
        byteCount = size + CopyingReader.alignment  // kernels may read a little beyond a panel
        let map = unsafe mmap(
            nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | Int32(MAP_ANONYMOUS), -1, 0)
        guard let map = unsafe map, unsafe map != MAP_FAILED else { throw .noMemory(byteCount) }
        unsafe madvise(map, byteCount, 14)  // MADV_HUGEPAGE
        unsafe memory = map
        do throws(ResidencyError) {
            try load(pieces, of: file)
        } catch {
            unsafe munmap(map, byteCount)
            throw error
        }
        var offset = 0
        for matrix in matrices where matrix.count > 0 {
            let first = matrix.ranges[0].lowerBound
            let start = first / CopyingReader.alignment * CopyingReader.alignment
            for tile in 0..<matrix.count {
                let range = matrix.ranges[tile]
                // Safe: this object owns the memory, and the store that owns both it and the tables.
                unsafe matrix.table.set(
                    tile,
                    to: UnsafeRawBufferPointer(
                        start: memory + offset + (range.lowerBound - start), count: range.count))
            }
            offset += CopyingReader.up(matrix.ranges[matrix.count - 1].upperBound) - start
        }
    }

    deinit { unsafe munmap(memory, byteCount) }

    /// Reads all pieces, several at a time, past the page cache where that works.
    private func load(_ pieces: [Piece], of file: WeightFile) throws(ResidencyError) {
        let reader = try CopyingReader(
            file, direct: true, slots: 0, slotBytes: 0)
        let monitor = Monitor()
        let progress = LoadProgress()
        let work: @Sendable () -> Void = {
            while let index = monitor.locked({ progress.next(of: pieces.count) }) {
                let piece = pieces[index]
                let start =
                    piece.bytes.lowerBound / CopyingReader.alignment * CopyingReader.alignment
                let error = unsafe reader.read(
                    piece.bytes, into: self.memory + piece.offset,
                    room: CopyingReader.up(piece.bytes.upperBound) - start)
                if !reader.isDirect { reader.release(piece.bytes, slot: 0) }
                if let error { monitor.locked { progress.failure = error } }
            }
        }
        let threads = (1..<InputChoice.threads).compactMap { _ in WorkerThread(work) }
        work()
        for thread in threads { thread.join() }
        if let failure = progress.failure { throw failure }
    }
}

/// Which pieces are taken; guarded by a monitor.
private final class LoadProgress: @unchecked Sendable {
    private var taken = 0
    var failure: ResidencyError?

    func next(of count: Int) -> Int? {
        guard taken < count, failure == nil else { return nil }
        defer { taken += 1 }
        return taken
    }
}
