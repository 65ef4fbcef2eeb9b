#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

enum FileKind { case file, directory, missing }

func fileKind(_ path: String) -> FileKind {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return .missing }
    return status.st_mode & S_IFMT == S_IFDIR ? .directory : .file
}

/// Names of the entries of a folder, in alphabetical order.
func fileNames(in folder: String) throws(ImportError) -> [String] {
    guard let stream = unsafe opendir(folder) else {
        throw .unreadable(path: folder, reason: unsafe String(cString: strerror(errno)))
    }
    defer { unsafe closedir(stream) }
    var names: [String] = []
    while let entry = unsafe readdir(stream) {
        let name = unsafe withUnsafePointer(to: &entry.pointee.d_name.0) {
            unsafe String(cString: $0)
        }
        if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
}

/// A file read by position. Nothing is mapped, so that a file cut short under the reader is an error
/// and not a signal.
final class SourceFile: Sendable {
    let path: String
    let byteCount: Int
    /// When it was written last: nanoseconds since 1970.
    let modified: Int
    private let descriptor: Int32

    /// The beginning of a file that Git LFS has not fetched.
    private static let pointer = Array("version https://git-lfs.github.com/spec/".utf8)

    init(path: String) throws(ImportError) {
        // Non-blocking, so that a pipe is refused below and not waited for.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let reason = unsafe String(cString: strerror(errno))
            throw .unreadable(path: path, reason: reason)
        }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG
        else {
            close(descriptor)
            throw .unreadable(path: path, reason: "not a regular file")
        }
        self.path = path
        self.descriptor = descriptor
        byteCount = Int(status.st_size)
        modified = Int(status.st_mtim.tv_sec) &* 1_000_000_000 &+ Int(status.st_mtim.tv_nsec)
        if (Self.pointer.count..<1024).contains(byteCount),
            try readAll(limit: 1024).starts(with: Self.pointer)
        {
            throw .unsupported(
                path: path, what: "a pointer of git-lfs instead of the file itself",
                advice: "run 'git lfs pull' in its folder")
        }
    }

    deinit { close(descriptor) }

    /// Reads exactly `count` bytes at `offset` into the front of `buffer`.
    func read(at offset: Int, count: Int, into buffer: inout [UInt8]) throws(ImportError) {
        guard offset >= 0, count >= 0, offset <= byteCount, count <= byteCount - offset else {
            throw .truncated(path: path, offset: offset, wanted: count)
        }
        if buffer.count < count { buffer = Array(repeating: 0, count: count) }
        let failure: String? = unsafe buffer.withUnsafeMutableBytes { bytes in
            var done = 0
            while done < count {
                let got = unsafe pread(
                    descriptor, bytes.baseAddress! + done, count - done, off_t(offset + done))
                if got < 0 && errno == EINTR { continue }
                if got < 0 { return unsafe String(cString: strerror(errno)) }
                if got == 0 { return "the file became shorter while it was read" }
                done += got
            }
            return nil
        }
        if let failure { throw .unreadable(path: path, reason: failure) }
    }

    /// The whole file.
    ///
    /// - Parameter limit: Larger files are refused.
    func readAll(limit: Int) throws(ImportError) -> [UInt8] {
        guard byteCount <= limit else {
            throw .malformed(
                path: path, offset: limit, reason: "\(byteCount) bytes, at most \(limit) expected")
        }
        var bytes = [UInt8](repeating: 0, count: byteCount)
        try read(at: 0, count: byteCount, into: &bytes)
        return bytes
    }
}

extension SourceFile {
    /// Names, sizes and times of files: it changes when a file is replaced.
    static func fingerprint(_ files: some Sequence<SourceFile>) -> String {
        let lines = files.map {
            "\($0.path.split(separator: "/").last ?? "") \($0.byteCount) \($0.modified)"
        }
        return Set(lines).sorted().joined(separator: "\n")
    }
}

/// Reads a file's fields in order through a window of bounded size.
struct FileCursor {
    let file: SourceFile
    private(set) var offset = 0
    private var window: [UInt8] = []
    private var windowStart = 0
    private static let windowBytes = 1 << 20

    init(_ file: SourceFile) { self.file = file }

    var remaining: Int { file.byteCount - offset }

    func malformed(_ reason: String) -> ImportError {
        .malformed(path: file.path, offset: offset, reason: reason)
    }

    mutating func bytes(_ count: Int) throws(ImportError) -> ArraySlice<UInt8> {
        guard count >= 0, count <= remaining else {
            throw .truncated(path: file.path, offset: offset, wanted: count)
        }
        if offset < windowStart || offset + count > windowStart + window.count {
            let size = min(max(count, Self.windowBytes), remaining)
            window = Array(repeating: 0, count: size)
            try file.read(at: offset, count: size, into: &window)
            windowStart = offset
        }
        let begin = offset - windowStart
        offset += count
        return window[begin..<begin + count]
    }

    mutating func integer<T: FixedWidthInteger>(_: T.Type) throws(ImportError) -> T {
        var value: T = 0
        var shift = 0
        for byte in try bytes(MemoryLayout<T>.size) {
            value |= T(truncatingIfNeeded: byte) << T(shift)
            shift += 8
        }
        return value
    }

    /// A 64-bit size; larger than the rest of the file is an error.
    mutating func count(limit: Int? = nil) throws(ImportError) -> Int {
        let at = offset
        let value = try integer(UInt64.self)
        guard value <= UInt64(limit ?? remaining) else {
            throw .malformed(
                path: file.path, offset: at,
                reason: "a count of \(value), at most \(limit ?? remaining) possible")
        }
        return Int(value)
    }
}
