internal import ArgumentParser
internal import Glibc

/// Reading that a signal ends. Everything that this program reads from a pipe or a terminal is read
/// here: signals reach another thread than the one that waits, so that `read` alone would go on.
enum Input {
    /// Waits until `descriptor` has bytes or has ended.
    ///
    /// - Throws: The exit code of SIGINT or SIGTERM, if one has come.
    static func wait(for descriptor: Int32) throws {
        while true {
            if Interruption.isRequested { throw ExitCode(Interruption.status.rawValue) }
            if pollOnce(descriptor) { break }
            Wakeup.clear()  // before the next look: a later signal wakes again
        }
        if Interruption.isRequested { throw ExitCode(Interruption.status.rawValue) }
    }

    /// Waits until `descriptor` can be read, or a signal has been handled; true for the first.
    static func pollOnce(_ descriptor: Int32) -> Bool {
        var ready = [
            pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0),
            pollfd(fd: Wakeup.descriptor, events: Int16(POLLIN), revents: 0),
        ]
        _ = unsafe poll(&ready, 2, -1)
        return ready[0].revents != 0
    }

    /// The next bytes, at most 64 KiB; none at the end.
    ///
    /// - Parameter name: What error messages call the input.
    static func next(_ descriptor: Int32, name: String) throws -> [UInt8] {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            try wait(for: descriptor)
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe read(descriptor, $0.baseAddress, $0.count)
            }
            if count >= 0 { return Array(chunk[..<count]) }
            guard errno == EINTR || errno == EAGAIN else {
                let reason = unsafe String(cString: strerror(errno))
                throw CommandError(.ioError, "\(name): \(reason)")
            }
        }
    }

    /// All bytes up to the end.
    static func all(_ descriptor: Int32, name: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        while case let chunk = try next(descriptor, name: name), !chunk.isEmpty {
            bytes += chunk
        }
        return bytes
    }

    /// All bytes of a file. A named pipe is waited for like any other input.
    static func all(path: String) throws -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            let reason = unsafe String(cString: strerror(errno))
            throw CommandError(.noInput, "\(path): \(reason)")
        }
        defer { close(descriptor) }
        return try all(descriptor, name: path)
    }

    /// All bytes of a file, or of standard input for `-`.
    static func all(pathOrInput: String) throws -> [UInt8] {
        guard pathOrInput == "-" else { return try all(path: pathOrInput) }
        return try all(STDIN_FILENO, name: "standard input")
    }
}

/// Lines of standard input.
struct LineReader {
    private var buffer: [UInt8] = []
    private var isAtEnd = false

    /// The next line without its end; nil after the last.
    mutating func next() throws -> String? {
        var searched = 0
        while true {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { buffer.removeFirst(end + 1) }
                return Self.text(buffer[..<end])
            }
            if isAtEnd {
                defer { buffer = [] }
                return buffer.isEmpty ? nil : Self.text(buffer[...])
            }
            searched = buffer.count
            let chunk = try Input.next(STDIN_FILENO, name: "standard input")
            isAtEnd = chunk.isEmpty
            buffer += chunk
        }
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes, as: UTF8.self)
    }
}

/// A pipe that signal handlers write to, so that a thread that waits for input wakes up.
enum Wakeup {
    /// Both ends; -1 if the system has none left: then a signal is noticed with the next input.
    private static let ends: (reading: Int32, writing: Int32) = {
        var pair: [Int32] = [-1, -1]
        guard unsafe pipe(&pair) == 0 else { return (-1, -1) }
        for end in pair {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
        return (pair[0], pair[1])
    }()

    /// Has bytes from ``signal()`` until ``clear()``.
    static var descriptor: Int32 { ends.reading }

    /// Wakes the thread that waits. For signal handlers.
    static func signal() {
        let saved = errno
        var byte: UInt8 = 1
        unsafe _ = write(ends.writing, &byte, 1)
        errno = saved
    }

    static func clear() {
        var bytes: UInt64 = 0
        while unsafe read(ends.reading, &bytes, 8) > 0 {}
    }
}
