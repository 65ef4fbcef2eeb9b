internal import Glibc

/// Small text files, such as the kernel's in /proc and /sys.
package enum SystemFile {
    /// All of a file, nil if it cannot be read. A pipe is empty: its writer is not waited for.
    package static func text(_ path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 14)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(contentsOf: chunk[..<count])
        }
    }

    /// The first word of a file.
    package static func word(_ path: String) -> String? {
        text(path)?.split(whereSeparator: \.isWhitespace).first.map(String.init)
    }

    /// The file as one number.
    package static func integer(_ path: String) -> Int? { word(path).flatMap { Int($0) } }

    /// Writes a few bytes, whether that works or not.
    package static func put(_ text: String, to path: String) {
        let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let bytes = Array(text.utf8)
        _ = unsafe bytes.withUnsafeBytes {
            unsafe write(descriptor, $0.baseAddress, $0.count)
        }
    }

    /// The number after `name:` or `name ` at the start of a line, times 1024 where "kB" follows.
    package static func field(_ name: String, in text: String) -> Int? {
        for line in text.split(separator: "\n") where line.hasPrefix(name) {
            let rest = line.dropFirst(name.count)
            guard let first = rest.first, first == ":" || first.isWhitespace else { continue }
            let words = rest.drop { $0 == ":" }.split(whereSeparator: \.isWhitespace)
            guard let value = words.first.flatMap({ Int($0) }) else { return nil }
            return words.count > 1 && words[1] == "kB" ? value * 1024 : value
        }
        return nil
    }

    /// What stands after the colon of every line `name : value`.
    package static func values(_ name: String, in text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            guard line.hasPrefix(name), let colon = line.firstIndex(of: ":"),
                line[line.index(line.startIndex, offsetBy: name.count)..<colon]
                    .allSatisfy(\.isWhitespace)
            else { return nil }
            return String(line[line.index(after: colon)...].drop(while: \.isWhitespace))
        }
    }
}
