#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A file that is being written: under another name next to its place, and renamed when complete, so that
/// the place never names half a file. Bytes for a pipe or a device are written at once.
public final class OutputFile {
    /// The name that the user gave.
    public let path: String
    private let place: OutputPlace
    private let temporaryPath: String
    private let descriptor: Int32
    /// Whether the file stays when abandoned, so that a later run can continue it.
    private var isKept: Bool
    private var isGone = false

    /// Creates the file and asks for `byteCount` bytes of disk at once, so that a full disk is
    /// reported now. Bytes that are never written are zero. The file is removed when abandoned, and
    /// by `TemporaryFiles.removeAll`.
    public init(_ place: OutputPlace, byteCount: Int = 0) throws(WeightFileError) {
        (self.place, path, isKept) = (place, place.path, false)
        temporaryPath = place.temporaryPath
        descriptor = try Self.descriptor(for: place, temporaryPath, O_TRUNC)
        guard place.isReplaced else { return }
        TemporaryFiles.add(temporaryPath)
        try reserve(byteCount)
    }

    /// The same, but an abandoned file is continued. When abandoned again, the file is kept if it existed before or
    /// `keep` was called.
    init(continuing place: OutputPlace, byteCount: Int) throws(WeightFileError) {
        (self.place, path, isKept) = (place, place.path, true)
        temporaryPath = place.keptPath
        descriptor = try Self.descriptor(for: place, temporaryPath, 0)
        // All properties are set: whatever is thrown from here on, `deinit` closes the file.
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .badPlace(path: temporaryPath, reason: "is in the way; remove it")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw .inUse(path: temporaryPath) }
        isKept = status.st_size > 0
        try reserve(byteCount)
    }

    deinit {
        close(descriptor)
        if !isKept { discard() }
    }

    private static func descriptor(
        for place: OutputPlace, _ temporary: String, _ flags: Int32
    ) throws(WeightFileError) -> Int32 {
        let descriptor: Int32
        switch place.kind {
        case .nothing, .file:
            let always = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
            descriptor = unsafe open(temporary, always | flags, 0o644)
        case .stream:
            // Not to wait for a pipe's reader.
            descriptor = unsafe open(place.target, O_WRONLY | O_CLOEXEC | O_NONBLOCK)
            if descriptor >= 0 { _ = fcntl(descriptor, F_SETFL, 0) }
        case .descriptor(let number):
            descriptor = fcntl(number, F_DUPFD_CLOEXEC, 0)
        }
        guard descriptor >= 0 else {
            guard errno != ENXIO else {
                throw .badPlace(
                    path: place.path, reason: "nobody reads this pipe; start its reader first")
            }
            throw .system(operation: .create, path: place.path, code: errno)
        }
        return descriptor
    }

    private func reserve(_ byteCount: Int) throws(WeightFileError) {
        guard byteCount > 0 else { return }
        let code = posix_fallocate(descriptor, 0, off_t(byteCount))
        // Not every file system can reserve; then only the size is set.
        guard
            code == 0
                || (code == EOPNOTSUPP || code == EINVAL)
                    && ftruncate(descriptor, off_t(byteCount)) == 0
        else { throw .system(operation: .create, path: path, code: code) }
    }

    /// From now on the file stays when abandoned.
    func keep() { isKept = true }

    /// Removes the file, unless it has its name already.
    func discard() {
        guard !isGone, place.isReplaced else { return }
        isGone = true
        unsafe unlink(temporaryPath)
        TemporaryFiles.remove(temporaryPath)
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

    /// Writes all of `bytes` after those that were appended before.
    public func append(_ bytes: RawSpan) throws(WeightFileError) {
        try unsafe writeAll(bytes) { source, _ in
            unsafe writePart(descriptor, source)
        }
    }

    public func append(_ bytes: [UInt8]) throws(WeightFileError) {
        try append(bytes.rawSpan)
    }

    public func append(_ text: String) throws(WeightFileError) {
        try append(Array(text.utf8))
    }

    /// Writes all of `bytes` at `offset`.
    func write(_ bytes: RawSpan, at offset: Int) throws(WeightFileError) {
        try unsafe writeAll(bytes) { source, done in
            unsafe pwrite(descriptor, source.baseAddress, source.count, off_t(offset + done))
        }
    }

    /// - Parameter part: Writes some of the bytes that are left, given how many are done.
    private func writeAll(
        _ bytes: RawSpan, _ part: (UnsafeRawBufferPointer, Int) -> Int
    ) throws(WeightFileError) {
        var done = 0
        while done < bytes.byteCount {
            let left = bytes.extracting(done..<bytes.byteCount)
            let count = unsafe left.withUnsafeBytes { unsafe part($0, done) }
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

    /// Cuts the file to `byteCount` bytes and commits it.
    func commit(byteCount: Int) throws(WeightFileError) {
        guard ftruncate(descriptor, off_t(byteCount)) == 0 else {
            throw .system(operation: .write, path: path, code: errno)
        }
        try commit()
    }

    /// Brings the file to disk and gives it its name. What was written to a pipe or a device is there
    /// already.
    public func commit() throws(WeightFileError) {
        guard place.isReplaced else { return }
        try flush()
        guard unsafe rename(temporaryPath, place.target) == 0 else {
            throw .system(operation: .rename, path: path, code: errno)
        }
        isGone = true
        TemporaryFiles.remove(temporaryPath)
        syncFolder()
    }

    /// Makes the new name last through a power cut, where the file system can.
    private func syncFolder() {
        let descriptor = unsafe open(place.folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}

/// Writes some of `bytes` where the descriptor stands.
private func writePart(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
    unsafe write(descriptor, bytes.baseAddress, bytes.count)
}
