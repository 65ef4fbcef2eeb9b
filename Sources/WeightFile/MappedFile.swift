internal import Glibc
internal import TesseraMachine

/// A file mapped for reading. Owns the descriptor and the mapping.
///
/// The mapping is private and read-only, so no write of ours can reach the file. Should another
/// process shorten the file later, touching the lost pages ends this process with SIGBUS, as with
/// any mapping; writers that replace files by renaming, as ours does, never do that.
@safe final class MappedFile: Sendable {
    let path: String
    let byteCount: Int
    private let file: ReadableFile
    /// First byte, page-aligned; valid while this object lives.
    private nonisolated(unsafe) let base: UnsafeRawPointer

    /// Maps the regular file at `path`.
    init(path: String) throws(WeightFileError) {
        do {
            file = try ReadableFile(path)
        } catch {
            throw .system(operation: .open, path: path, code: error.code)
        }
        let descriptor = file.descriptor
        let size = try Self.size(of: descriptor, path)
        // An empty mapping is not allowed; one byte of an empty file is never touched.
        let map = unsafe mmap(nil, max(1, size), PROT_READ, MAP_PRIVATE, descriptor, 0)
        guard let map = unsafe map, unsafe map != MAP_FAILED else {
            throw .system(operation: .map, path: path, code: errno)
        }
        unsafe base = UnsafeRawPointer(map)
        byteCount = size
        self.path = path
        // All properties are set: from here on `deinit` gives the mapping back.
        let sizeNow = try Self.size(of: descriptor, path)
        guard sizeNow == size else { throw .sizeChanged(path: path, from: size, to: sizeNow) }
    }

    deinit { unsafe munmap(UnsafeMutableRawPointer(mutating: base), max(1, byteCount)) }

    private static func size(
        of descriptor: Int32, _ path: String
    ) throws(WeightFileError) -> Int {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            throw .system(operation: .open, path: path, code: errno)
        }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
        return Int(status.st_size)
    }

    /// The opened file, whatever has its name now.
    var descriptorPath: String { "/proc/self/fd/\(file.descriptor)" }

    /// The whole file.
    var bytes: RawSpan {
        @_lifetime(borrow self)
        get {
            let buffer = unsafe UnsafeRawBufferPointer(start: base, count: byteCount)
            // Safe: the mapping lives as long as this object.
            return unsafe _overrideLifetime(RawSpan(_unsafeBytes: buffer), borrowing: self)
        }
    }

    /// The address of byte `offset`, for kernels.
    @unsafe func pointer(at offset: Int) -> UnsafeRawPointer {
        precondition(offset >= 0 && offset <= byteCount, "\(offset) outside 0...\(byteCount)")
        return unsafe base + offset
    }

    /// Reads `range` into the start of `buffer` by a system call, so that a file that was shortened
    /// or cannot be read gives an error instead of a signal.
    func read(_ range: Range<Int>, into buffer: inout [UInt8]) throws(WeightFileError) {
        precondition(range.count <= buffer.count, "\(range.count) > \(buffer.count) bytes")
        let outcome = unsafe buffer.withUnsafeMutableBytes {
            unsafe file.read(
                into: UnsafeMutableRawBufferPointer(rebasing: $0[..<range.count]),
                at: range.lowerBound)
        }
        switch outcome {
        case .complete: return
        case .ended(let end): throw .sizeChanged(path: path, from: byteCount, to: end)
        case .failed(let code): throw .system(operation: .read, path: path, code: code)
        }
    }
}
