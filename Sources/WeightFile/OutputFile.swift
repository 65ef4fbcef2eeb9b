#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file in the making: written beside `path` under another name, renamed when complete and
/// removed when abandoned, so that `path` never names half a file.
final class OutputFile {
    let path: String
    private let temporaryPath: String
    private let descriptor: Int32
    private var isRenamed = false

    /// Creates the file and asks for `byteCount` bytes of disk at once, so that a full disk is
    /// reported now. Bytes that are never written are zero.
    init(path: String, byteCount: Int) throws(WeightFileError) {
        self.path = path
        temporaryPath = "\(path).\(getpid()).partial"
        descriptor = unsafe open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw .system(operation: .create, path: path, code: errno)
        }
        let code = posix_fallocate(descriptor, 0, off_t(byteCount))
        // Not every file system can reserve; then only the size is set.
        guard
            code == 0
                || (code == EOPNOTSUPP || code == EINVAL)
                    && ftruncate(descriptor, off_t(byteCount)) == 0
        else {
            close(descriptor)
            unsafe unlink(temporaryPath)
            throw .system(operation: .create, path: path, code: code)
        }
    }

    deinit {
        close(descriptor)
        if !isRenamed { unsafe unlink(temporaryPath) }
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

    /// Brings everything to disk and gives the file its name.
    func commit() throws(WeightFileError) {
        guard fsync(descriptor) == 0 else {
            throw .system(operation: .flush, path: path, code: errno)
        }
        guard unsafe rename(temporaryPath, path) == 0 else {
            throw .system(operation: .rename, path: path, code: errno)
        }
        isRenamed = true
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
