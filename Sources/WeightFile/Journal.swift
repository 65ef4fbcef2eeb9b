#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The tiles of an unfinished file that are on disk, listed in a file next to it: 8 bytes that name the
/// conversion, then size and checksum of each tile.
struct Journal {
    private let path: String
    private let descriptor: JournalDescriptor
    /// Those written so far, by this process or an earlier one.
    private(set) var tiles: [StoredTile] = []
    /// Whether the journal belonged to another conversion, and begins anew.
    private(set) var replacesOther = false
    /// How many of them the journal's file names.
    private var savedCount = 0
    private var unsavedBytes = 0

    private static let entryBytes = 12
    /// Bytes of tiles after which they and then the journal are brought to disk.
    private let interval: Int

    /// Opens the journal of the unfinished `target`, empty unless its key is `key`.
    init(path target: String, key: UInt64, interval: Int) throws(WeightFileError) {
        self.interval = interval
        path = "\(target).journal"
        let descriptor = unsafe open(
            path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0o644)
        guard descriptor >= 0 else { throw .system(operation: .create, path: path, code: errno) }
        self.descriptor = JournalDescriptor(descriptor)
        var fields = FieldWriter()
        fields.u64(key)
        let saved = try load()
        replacesOther = saved.count > 8 && !saved.prefix(8).elementsEqual(fields.bytes)
        if saved.prefix(8).elementsEqual(fields.bytes) {
            var at = 8
            while at + Self.entryBytes <= saved.count {
                let bytes = saved.rawSpan
                tiles.append(
                    StoredTile(
                        byteCount: Int(bytes.u32(at: at)), checksum: bytes.u64(at: at + 4)))
                at += Self.entryBytes
            }
            savedCount = tiles.count
        } else {
            try cut(to: 0)
            try write(fields.bytes, at: 0)
        }
    }

    /// Adds a tile that was written; from time to time calls `flush`, which brings the tiles to disk,
    /// and then brings the journal there.
    mutating func append(
        _ tile: StoredTile, flush: () throws(WeightFileError) -> Void
    ) throws(WeightFileError) {
        tiles.append(tile)
        unsavedBytes += tile.byteCount
        guard unsavedBytes >= interval else { return }
        try flush()
        var fields = FieldWriter()
        for tile in tiles[savedCount...] {
            fields.int32(tile.byteCount)
            fields.u64(tile.checksum)
        }
        try write(fields.bytes, at: 8 + savedCount * Self.entryBytes)
        fsync(descriptor.number)
        (savedCount, unsavedBytes) = (tiles.count, 0)
    }

    /// Forgets all tiles but the first `count`.
    mutating func cut(to count: Int) throws(WeightFileError) {
        tiles.removeLast(tiles.count - count)
        guard savedCount >= count else { return }
        savedCount = count
        guard ftruncate(descriptor.number, off_t(8 + count * Self.entryBytes)) == 0 else {
            throw .system(operation: .write, path: path, code: errno)
        }
    }

    func remove() { unsafe unlink(path) }

    private func load() throws(WeightFileError) -> [UInt8] {
        var status = stat()
        guard unsafe fstat(descriptor.number, &status) == 0 else {
            throw .system(operation: .open, path: path, code: errno)
        }
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
        let count = unsafe bytes.withUnsafeMutableBytes { target in
            unsafe pread(descriptor.number, target.baseAddress, target.count, 0)
        }
        guard count >= 0 else { throw .system(operation: .read, path: path, code: errno) }
        return Array(bytes[..<count])
    }

    private func write(_ bytes: [UInt8], at offset: Int) throws(WeightFileError) {
        let count = unsafe bytes.withUnsafeBytes { source in
            unsafe pwrite(descriptor.number, source.baseAddress, source.count, off_t(offset))
        }
        guard count == bytes.count else {
            throw .system(operation: .write, path: path, code: count < 0 ? errno : ENOSPC)
        }
    }
}

/// An open file that is closed with its last owner.
private final class JournalDescriptor {
    let number: Int32
    init(_ number: Int32) { self.number = number }
    deinit { close(number) }
}
