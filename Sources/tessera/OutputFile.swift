internal import Glibc

/// Files that commands write beside what they print.
enum OutputFile {
    /// Refuses a place where nothing can be written, before work is done for it.
    static func check(_ path: String) throws {
        guard isReplaceable(path) else { return }
        let name = temporaryName(path)
        close(try open(name, for: path))
        unsafe unlink(name)
    }

    /// Writes all of `text`; what was there stays until all is written. Devices and pipes are
    /// written to as they are.
    static func write(_ text: String, to path: String) throws {
        guard isReplaceable(path) else {
            let descriptor = try open(path, for: path)
            defer { close(descriptor) }
            return try write(text, descriptor, path)
        }
        let name = temporaryName(path)
        let descriptor = try open(name, for: path)
        do {
            defer { close(descriptor) }
            try write(text, descriptor, path)
            guard fsync(descriptor) == 0 else {
                throw CommandError(.ioError, "\(path): cannot write")
            }
        } catch {
            unsafe unlink(name)
            throw error
        }
        guard unsafe rename(name, path) == 0 else {
            unsafe unlink(name)
            throw CommandError(.cannotCreate, "\(path): cannot create")
        }
    }

    /// Whether a new file may take the place: nothing or a plain file is there.
    private static func isReplaceable(_ path: String) -> Bool {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return true }
        return status.st_mode & S_IFMT == S_IFREG
    }

    private static func temporaryName(_ path: String) -> String { "\(path).\(getpid()).partial" }

    private static func open(_ name: String, for path: String) throws -> Int32 {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let descriptor = unsafe Glibc.open(name, flags, 0o644)
        guard descriptor >= 0 else { throw CommandError(.cannotCreate, "\(path): cannot create") }
        return descriptor
    }

    private static func write(_ text: String, _ descriptor: Int32, _ path: String) throws {
        var bytes = ArraySlice(text.utf8)
        while !bytes.isEmpty {
            let written = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw CommandError(.ioError, "\(path): cannot write") }
            bytes = bytes.dropFirst(written)
        }
    }
}
