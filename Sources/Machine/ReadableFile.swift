internal import Glibc

/// An open file, read by system calls: interrupted and short reads are continued.
@safe package final class ReadableFile: Sendable {
    package let descriptor: Int32
    /// Whether reads go past the page cache.
    package let isDirect: Bool
    /// What O_DIRECT wants offsets, sizes and addresses to be multiples of.
    package static let alignment = 4096

    /// How a read ended.
    package enum Outcome: Equatable {
        case complete
        /// The file ends at this byte.
        case ended(at: Int)
        /// `errno` of the call that failed.
        case failed(Int32)
    }

    /// Opens the file at `path` for reading.
    ///
    /// - Parameter direct: Read past the page cache, where the file system can.
    /// - Throws: `errno`.
    package init(_ path: String, direct: Bool = false) throws(SystemCode) {
        // Without O_NONBLOCK, opening a pipe would wait for its writer.
        let flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK
        let first = direct ? unsafe open(path, flags | Self.directFlag) : -1
        isDirect = first >= 0
        descriptor = first >= 0 ? first : unsafe open(path, flags)
        guard descriptor >= 0 else { throw SystemCode(errno) }
    }

    deinit { close(descriptor) }

    /// O_DIRECT, which the C library shows only to GNU sources.
    private static var directFlag: Int32 {
        #if arch(arm64)
            0o200000
        #else
            0o40000
        #endif
    }

    /// Reads from `offset` on until `target` is full.
    ///
    /// - Parameters:
    ///   - target: Where reads are direct, it and `offset` are aligned.
    ///   - needed: Bytes without which the file counts as ended; all by default.
    package func read(
        into target: UnsafeMutableRawBufferPointer, at offset: Int, needed: Int? = nil
    ) -> Outcome {
        unsafe Self.read(into: target, needed: needed ?? target.count, isDirect: isDirect) {
            part, done in
            unsafe pread(descriptor, part.baseAddress, part.count, off_t(offset + done))
        }.at(offset)
    }

    /// - Parameter call: Reads some bytes after the first `done`, as `pread` does.
    static func read(
        into target: UnsafeMutableRawBufferPointer, needed: Int, isDirect: Bool,
        _ call: (UnsafeMutableRawBufferPointer, _ done: Int) -> Int
    ) -> Outcome {
        var done = 0
        while done < needed {
            let part = unsafe UnsafeMutableRawBufferPointer(rebasing: target[done...])
            let count = unsafe call(part, done)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return .failed(errno) }
            let reached = done + count
            if reached >= needed { break }
            // A direct read that stops within a page is continued at the page's start.
            let next = isDirect ? reached / alignment * alignment : reached
            guard next > done else { return .ended(at: reached) }
            done = next
        }
        return .complete
    }

    /// Tells the page cache to forget a part of the file.
    package func forget(_ range: Range<Int>) {
        posix_fadvise(
            descriptor, off_t(range.lowerBound), off_t(range.count), POSIX_FADV_DONTNEED)
    }
}

extension ReadableFile.Outcome {
    fileprivate func at(_ offset: Int) -> Self {
        if case .ended(let end) = self { .ended(at: offset + end) } else { self }
    }
}

/// An `errno` value as an error.
package struct SystemCode: Error, Equatable, CustomStringConvertible {
    package var code: Int32
    package init(_ code: Int32) { self.code = code }
    package var description: String { systemMessage(code) }
}
