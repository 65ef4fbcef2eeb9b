#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file in the making: written beside `path` under another name and renamed when complete, so that
/// `path` never names half a file.
final class OutputFile {
    let path: String
    private let temporaryPath: String
    private let descriptor: Int32
    private let isKept: Bool
    private var isGone = false

    /// Creates the file and asks for `byteCount` bytes of disk at once, so that a full disk is
    /// reported now. Bytes that are never written are zero. The file is removed when abandoned.
    convenience init(path: String, byteCount: Int) throws(WeightFileError) {
        try self.init(
            path, temporary: "\(path).\(getpid()).partial", flags: O_TRUNC, byteCount: byteCount)
    }

    /// The same, but the file is kept when abandoned, and one that was abandoned is taken up.
    convenience init(continuing path: String, byteCount: Int) throws(WeightFileError) {
        try self.init(path, temporary: "\(path).partial", flags: 0, byteCount: byteCount)
    }

    private init(
        _ path: String, temporary: String, flags: Int32, byteCount: Int
    ) throws(WeightFileError) {
        self.path = path
        isKept = flags == 0
        temporaryPath = temporary
        descriptor = unsafe open(temporary, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0o644)
        guard descriptor >= 0 else {
            throw .system(operation: .create, path: path, code: errno)
        }
        // All properties are set: whatever is thrown from here on, `deinit` closes the file.
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw .inUse(path: temporary) }
        let code = posix_fallocate(descriptor, 0, off_t(byteCount))
        // Not every file system can reserve; then only the size is set.
        guard
            code == 0
                || (code == EOPNOTSUPP || code == EINVAL)
                    && ftruncate(descriptor, off_t(byteCount)) == 0
        else { throw .system(operation: .create, path: path, code: code) }
    }

    deinit {
        close(descriptor)
        if !isKept { discard() }
    }

    /// Removes the file, unless it has its name already.
    func discard() {
        if !isGone { unsafe unlink(temporaryPath) }
        isGone = true
    }

    /// Reads `range` into the start of `buffer`; false where the file ends before.
    func read(_ range: Range<Int>, into buffer: inout [UInt8]) throws(WeightFileError) -> Bool {
        var done = 0
        while done < range.count {
            let start = done
            let count = unsafe buffer.withUnsafeMutableBytes { target in
                // Safe: `start` is below `range.count`, which the buffer holds.
                unsafe pread(
                    descriptor, target.baseAddress.map { unsafe $0 + start }, range.count - start,
                    off_t(range.lowerBound + start))
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .system(operation: .read, path: path, code: errno) }
            if count == 0 { return false }
            done += count
        }
        return true
    }

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: RawSpan, at offset: Int) throws(WeightFileError) {
        var done = 0
        while done < bytes.byteCount {
            let part = bytes.extracting(done..<bytes.byteCount)
            let count = unsafe part.withUnsafeBytes { source in
                unsafe pwrite(descriptor, source.baseAddress, source.count, off_t(offset + done))
            }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw .system(operation: .write, path: path, code: errno) }
            done += count
        }
    }

    /// Brings everything to disk.
    func flush() throws(WeightFileError) {
        guard fsync(descriptor) == 0 else {
            throw .system(operation: .flush, path: path, code: errno)
        }
    }

    /// Cuts the file to `byteCount` bytes, brings it to disk and gives it its name.
    func commit(byteCount: Int) throws(WeightFileError) {
        guard ftruncate(descriptor, off_t(byteCount)) == 0 else {
            throw .system(operation: .write, path: path, code: errno)
        }
        try flush()
        guard unsafe rename(temporaryPath, path) == 0 else {
            throw .system(operation: .rename, path: path, code: errno)
        }
        isGone = true
        syncFolder()
    }

    /// Makes the new name last through a power cut, where the file system can.
    private func syncFolder() {
        let folder = path.lastIndex(of: "/").map { String(path[...$0]) } ?? "."
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
