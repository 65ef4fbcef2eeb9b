#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How fast a file comes from its disk.
public struct DiskRate: Sendable, Equatable {
    /// Bytes read.
    public var bytes: Int
    public var seconds: Double
    /// Whether the page cache was left out; where it was not, the rate may be memory's.
    public var isDirect: Bool

    public init(bytes: Int, seconds: Double, isDirect: Bool) {
        self.bytes = bytes
        self.seconds = seconds
        self.isDirect = isDirect
    }

    public var bytesPerSecond: Double { Double(bytes) / max(seconds, 1e-9) }
}

/// Reads a file past the page cache.
public enum DiskProbe {
    private static let chunkBytes = 4 << 20

    /// O_DIRECT, which the C library shows only to GNU sources.
    private static var directFlag: Int32 {
        #if arch(arm64)
            0o200000
        #else
            0o40000
        #endif
    }

    /// Reads from the start of the file, one piece after the other.
    ///
    /// - Parameters:
    ///   - path: A file on the disk in question.
    ///   - patience: Seconds after which enough has been read.
    public static func read(_ path: String, patience: Double = 2) throws(ProfilingError) -> DiskRate
    {
        var isDirect = true
        var descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | directFlag)
        if descriptor < 0 {
            isDirect = false
            descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        }
        guard descriptor >= 0 else { throw .unreadable(path, code: errno) }
        defer { close(descriptor) }
        if !isDirect { posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) }
        guard let buffer = unsafe aligned_alloc(4096, chunkBytes) else {
            throw .unreadable(path, code: ENOMEM)
        }
        defer { unsafe free(buffer) }
        let start = nanoseconds()
        var rate = DiskRate(bytes: 0, seconds: 0, isDirect: isDirect)
        while rate.seconds < patience {
            let count = unsafe pread(descriptor, buffer, chunkBytes, off_t(rate.bytes))
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .unreadable(path, code: errno) }
            rate.seconds = Double(nanoseconds() - start) * 1e-9
            rate.bytes += count
            if count < chunkBytes { break }
        }
        guard rate.bytes > 0 else { throw .emptyFile(path) }
        return rate
    }
}
