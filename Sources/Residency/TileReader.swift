internal import WeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How streamed weights come from their disk.
public enum InputMethod: String, Sendable, CaseIterable {
    /// Whichever of the others reads fastest, measured at the start.
    case auto
    /// Reads past the page cache (O_DIRECT).
    case direct
    /// Reads through the page cache, which is told to forget.
    case buffered
    /// Pages of the mapping, fetched ahead of their use and dropped after it.
    case mapped
}

/// Brings ranges of a weight file into memory.
protocol TileReader: AnyObject, Sendable {
    /// Makes `range` readable and returns the address of its first byte, valid until `release`.
    ///
    /// - Parameter slot: Whose memory is used; one range at a time is in a slot.
    func read(_ range: Range<Int>, slot: Int) -> Result<UnsafeRawPointer, ResidencyError>
    /// The slot's range is not used any more.
    func release(_ range: Range<Int>, slot: Int)
}

/// Reads into slots of its own memory, past the page cache or through it.
@safe final class CopyingReader: TileReader, @unchecked Sendable {
    /// What O_DIRECT wants offsets, sizes and addresses to be multiples of.
    static let alignment = 4096

    private let path: String
    private let descriptor: Int32
    let isDirect: Bool
    private let slots: UnsafeMutableRawPointer
    private let slotBytes: Int

    /// - Parameters:
    ///   - slotBytes: Longest range, its ends rounded to pages.
    init(
        _ file: WeightFile, direct: Bool, slots: Int, slotBytes: Int
    ) throws(ResidencyError) {
        path = file.path
        self.slotBytes = Self.up(slotBytes)
        let flags = O_RDONLY | O_CLOEXEC
        var descriptor = direct ? unsafe open(file.descriptorPath, flags | directFlag) : -1
        isDirect = descriptor >= 0
        if descriptor < 0 { descriptor = unsafe open(file.descriptorPath, flags) }
        guard descriptor >= 0 else {
            throw .unreadable(path: path, reason: systemMessage(errno))
        }
        self.descriptor = descriptor
        guard let memory = unsafe aligned_alloc(Self.alignment, max(1, slots) * self.slotBytes)
        else {
            close(descriptor)
            throw .noMemory(slots * self.slotBytes)
        }
        unsafe self.slots = memory
    }

    deinit {
        close(descriptor)
        unsafe free(slots)
    }

    static func up(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }

    func read(_ range: Range<Int>, slot: Int) -> Result<UnsafeRawPointer, ResidencyError> {
        let target = unsafe slots + slot * slotBytes
        if let error = unsafe read(range, into: target, room: slotBytes) {
            return unsafe .failure(error)
        }
        return unsafe .success(UnsafeRawPointer(target) + range.lowerBound % Self.alignment)
    }

    func release(_ range: Range<Int>, slot: Int) {
        guard !isDirect else { return }
        posix_fadvise(
            descriptor, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_DONTNEED)
    }

    /// Reads the pages that `range` touches.
    ///
    /// - Parameters:
    ///   - target: Gets the first of these pages' first byte; aligned to a page.
    ///   - room: Bytes from there.
    func read(
        _ range: Range<Int>, into target: UnsafeMutableRawPointer, room: Int
    ) -> ResidencyError? {
        let start = range.lowerBound / Self.alignment * Self.alignment
        let end = Self.up(range.upperBound)
        precondition(end - start <= room, "\(range) in \(room) bytes")
        var at = start
        while at < range.upperBound {
            let count = unsafe pread(descriptor, target + (at - start), end - at, off_t(at))
            if count < 0 && errno == EINTR { continue }
            if count < 0 { return .unreadable(path: path, reason: systemMessage(errno)) }
            if count == 0 {
                return .unreadable(path: path, reason: "it ends at byte \(at); it was cut short")
            }
            at += count
            // Only the file's end makes a direct read stop within a page.
            if at < range.upperBound && at % Self.alignment != 0 {
                return .unreadable(path: path, reason: "it ends at byte \(at); it was cut short")
            }
        }
        return nil
    }
}

/// Fetches pages of the mapping ahead and drops them behind.
@safe final class MappedReader: TileReader, @unchecked Sendable {
    private let file: WeightFile
    private let descriptor: Int32
    private let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
    /// The kernel fetches no more than its readahead for one MADV_WILLNEED: 128 KiB by default.
    private static let stepBytes = 128 << 10

    init(_ file: WeightFile) throws(ResidencyError) {
        self.file = file
        descriptor = unsafe open(file.descriptorPath, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .unreadable(path: file.path, reason: systemMessage(errno))
        }
        // Nothing beyond what is asked for: the pages behind a hot tile are not hot.
        unsafe madvise(
            UnsafeMutableRawPointer(mutating: file.unsafePointer(at: 0)), file.fileBytes,
            MADV_RANDOM)
    }

    deinit { close(descriptor) }

    func read(_ range: Range<Int>, slot: Int) -> Result<UnsafeRawPointer, ResidencyError> {
        let (start, count) = pages(range)
        let first = unsafe UnsafeMutableRawPointer(mutating: file.unsafePointer(at: start))
        for at in stride(from: 0, to: count, by: Self.stepBytes) {
            unsafe madvise(first + at, min(Self.stepBytes, count - at), MADV_WILLNEED)
        }
        // MADV_POPULATE_READ (Linux 5.14) reports what touching would turn into a signal.
        if unsafe madvise(first, count, 22) != 0, errno != EINVAL {
            let reason =
                errno == EFAULT || errno == ENOMEM
                ? "it ends before byte \(start + count); it was cut short, or its disk failed"
                : systemMessage(errno)
            return unsafe .failure(.unreadable(path: file.path, reason: reason))
        }
        return unsafe .success(UnsafeRawPointer(first) + (range.lowerBound - start))
    }

    func release(_ range: Range<Int>, slot: Int) {
        let (start, count) = pages(range)
        unsafe madvise(
            UnsafeMutableRawPointer(mutating: file.unsafePointer(at: start)), count,
            Int32(MADV_DONTNEED))
        posix_fadvise(descriptor, off_t(start), off_t(count), POSIX_FADV_DONTNEED)
    }

    private func pages(_ range: Range<Int>) -> (start: Int, count: Int) {
        let start = range.lowerBound / pageBytes * pageBytes
        let end = min((range.upperBound + pageBytes - 1) / pageBytes * pageBytes, file.fileBytes)
        return (start, end - start)
    }
}

/// O_DIRECT, which the C library shows only to GNU sources.
var directFlag: Int32 {
    #if arch(arm64)
        0o200000
    #else
        0o40000
    #endif
}

/// What an `errno` value means, in the C library's words.
func systemMessage(_ code: Int32) -> String {
    guard let text = unsafe strerror(code) else { return "error \(code)" }
    return unsafe String(cString: text)
}
