internal import Glibc
internal import TesseraMachine
internal import TesseraWeightFile

/// How streamed weights come from their disk.
public enum InputMethod: String, Sendable, CaseIterable {
    /// The fastest of the other methods, measured at the start.
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
    /// - Parameter slot: The slot whose memory is used; a slot holds one range at a time.
    func read(_ range: Range<Int>, slot: Int) -> Result<UnsafeRawPointer, ResidencyError>
    /// The slot's range is not used any more.
    func release(_ range: Range<Int>, slot: Int)
}

/// Reads into slots of its own memory, past the page cache or through it.
@safe final class CopyingReader: TileReader, @unchecked Sendable {
    private let path: String
    private let file: ReadableFile
    private let slots: UnsafeMutableRawPointer
    private let slotBytes: Int
    static let alignment = ReadableFile.alignment

    /// - Parameters:
    ///   - slotBytes: Longest range, its ends rounded to pages.
    init(
        _ file: WeightFile, direct: Bool, slots: Int, slotBytes: Int
    ) throws(ResidencyError) {
        path = file.path
        self.slotBytes = Self.up(slotBytes)
        self.file = try file.reopened(direct: direct)
        guard let memory = unsafe aligned_alloc(Self.alignment, max(1, slots) * self.slotBytes)
        else { throw .noMemory(slots * self.slotBytes) }
        unsafe self.slots = memory
    }

    deinit { unsafe free(slots) }

    /// Whether the page cache is left out, where that was asked for and the file system can.
    var isDirect: Bool { file.isDirect }

    static func up(_ bytes: Int) -> Int { (bytes + alignment - 1) / alignment * alignment }

    func read(_ range: Range<Int>, slot: Int) -> Result<UnsafeRawPointer, ResidencyError> {
        let target = unsafe slots + slot * slotBytes
        if let error = unsafe read(range, into: target, room: slotBytes) {
            return unsafe .failure(error)
        }
        return unsafe .success(UnsafeRawPointer(target) + range.lowerBound % Self.alignment)
    }

    func release(_ range: Range<Int>, slot: Int) {
        if !isDirect { file.forget(range) }
    }

    /// Reads the pages that `range` touches.
    ///
    /// - Parameters:
    ///   - target: Receives the pages; aligned to a page.
    ///   - room: Bytes from there.
    func read(
        _ range: Range<Int>, into target: UnsafeMutableRawPointer, room: Int
    ) -> ResidencyError? {
        let start = range.lowerBound / Self.alignment * Self.alignment
        let count = Self.up(range.upperBound) - start
        precondition(count <= room, "\(range) in \(room) bytes")
        let pages = unsafe UnsafeMutableRawBufferPointer(start: target, count: count)
        switch unsafe file.read(into: pages, at: start, needed: range.upperBound - start) {
        case .complete: return nil
        case .ended(let end):
            return .unreadable(path: path, reason: "it ends at byte \(end); it was cut short")
        case .failed(let code): return .unreadable(path: path, reason: systemMessage(code))
        }
    }
}

extension WeightFile {
    /// The same file opened once more, even if another file has its name now.
    func reopened(direct: Bool = false) throws(ResidencyError) -> ReadableFile {
        do {
            return try ReadableFile(descriptorPath, direct: direct)
        } catch {
            throw .unreadable(path: path, reason: error.description)
        }
    }
}

/// Fetches pages of the mapping ahead and drops them after use.
@safe final class MappedReader: TileReader, @unchecked Sendable {
    private let file: WeightFile
    private let opened: ReadableFile
    private let pageBytes = Int(sysconf(Int32(_SC_PAGESIZE)))
    /// The kernel fetches no more than its readahead for one MADV_WILLNEED: 128 KiB by default.
    private static let stepBytes = 128 << 10

    init(_ file: WeightFile) throws(ResidencyError) {
        self.file = file
        opened = try file.reopened()
    }

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
        file.unmap(range)
        opened.forget(range)
    }

    private func pages(_ range: Range<Int>) -> (start: Int, count: Int) {
        let start = range.lowerBound / pageBytes * pageBytes
        let end = min((range.upperBound + pageBytes - 1) / pageBytes * pageBytes, file.fileBytes)
        return (start, end - start)
    }
}

extension WeightFile {
    /// Whether touching a page of the mapping also brings the pages after it into memory. Where weights
    /// are streamed it must not: the pages after those that stay are not to stay.
    func readAhead(_ isOn: Bool) {
        unsafe madvise(
            UnsafeMutableRawPointer(mutating: unsafePointer(at: 0)), fileBytes,
            isOn ? Int32(MADV_NORMAL) : Int32(MADV_RANDOM))
    }

    /// Takes whole pages in `range` out of this process's memory; the page cache keeps them.
    func unmap(_ range: Range<Int>) {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = (range.lowerBound + page - 1) / page * page
        let end = range.upperBound / page * page
        guard start < end else { return }
        unsafe madvise(
            UnsafeMutableRawPointer(mutating: unsafePointer(at: start)), end - start,
            Int32(MADV_DONTNEED))
    }
}
