internal import TesseraMachine
internal import Synchronization

internal import Glibc

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
    /// As many read at a time as when weights are streamed: one alone leaves a disk idle between its
    /// requests.
    private static let threads = 4

    /// Reads from the start of the file, several pieces at a time.
    ///
    /// - Parameters:
    ///   - path: A file on the disk in question.
    ///   - patience: Seconds after which enough has been read.
    public static func read(_ path: String, patience: Double = 2) throws(ProfilingError) -> DiskRate
    {
        let file: ReadableFile
        do {
            file = try ReadableFile(path, direct: true)
        } catch {
            throw .unreadable(path, code: error.code)
        }
        if !file.isDirect { file.forget(0..<0) }  // 0 bytes: to the end
        let state = ReadState()
        let start = nanoseconds()
        let end = start + UInt64(patience * 1e9)
        let workers = (0..<threads).compactMap { _ in
            WorkerThread { read(file, until: end, state) }
        }
        guard !workers.isEmpty else { throw .unreadable(path, code: EAGAIN) }
        for worker in workers { worker.join() }
        let elapsed = Double(nanoseconds() - start) * 1e-9
        let code = state.code.load(ordering: .relaxed)
        guard code == 0 else { throw .unreadable(path, code: code) }
        let bytes = state.bytes.load(ordering: .relaxed)
        guard bytes > 0 else { throw .emptyFile(path) }
        return DiskRate(bytes: bytes, seconds: elapsed, isDirect: file.isDirect)
    }

    /// State that the reading threads share.
    private final class ReadState: Sendable {
        /// Where the next piece begins.
        let next = Atomic(0)
        /// Bytes read by all threads.
        let bytes = Atomic(0)
        /// `errno` of a read that failed.
        let code = Atomic(Int32(0))
    }

    /// The work of one thread: it claims pieces and reads them until the end of the file or of its time.
    private static func read(_ file: ReadableFile, until end: UInt64, _ state: ReadState) {
        guard let buffer = unsafe aligned_alloc(4096, chunkBytes) else {
            return state.code.store(ENOMEM, ordering: .relaxed)
        }
        defer { unsafe free(buffer) }
        repeat {
            let at = state.next.wrappingAdd(chunkBytes, ordering: .relaxed).oldValue
            let piece = unsafe UnsafeMutableRawBufferPointer(start: buffer, count: chunkBytes)
            var count = chunkBytes
            switch unsafe file.read(into: piece, at: at) {
            case .complete: break
            case .ended(let end): count = max(0, end - at)
            case .failed(let code): return state.code.store(code, ordering: .relaxed)
            }
            state.bytes.wrappingAdd(count, ordering: .relaxed)
            if count < chunkBytes { return }
        } while nanoseconds() < end
    }
}
