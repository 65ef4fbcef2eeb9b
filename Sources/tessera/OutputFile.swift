internal import Glibc

/// Files that commands write beside what they print.
enum OutputFile {
    /// Writes all of `text`, in place of what was there.
    static func write(_ text: String, to path: String) throws {
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let descriptor = unsafe open(path, flags, 0o644)
        guard descriptor >= 0 else { throw CommandError(.cannotCreate, "\(path): cannot create") }
        defer { close(descriptor) }
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
