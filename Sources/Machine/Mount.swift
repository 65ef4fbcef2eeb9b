internal import Glibc

/// A file system that this process sees, or a part of one: a line of /proc/self/mountinfo.
package struct Mount: Sendable, Equatable {
    /// The kernel's numbers of the device, e.g. `8:1`.
    package var device: String
    /// Folder of the file system that is mounted; `/` is all of it.
    package var root: String
    /// Where it is mounted.
    package var point: String
    /// E.g. `ext4` or `cgroup2`.
    package var type: String
    /// Options of the file system, e.g. the controllers of a hierarchy of control groups.
    package var options: [String]

    /// Every mount that `root`/proc/self/mountinfo lists; none where that cannot be read.
    package static func all(root: String = "") -> [Mount] {
        (SystemFile.text(root + "/proc/self/mountinfo") ?? "").split(separator: "\n")
            .compactMap { Mount(line: $0) }
    }

    init(
        device: String, root: String, point: String, type: String, options: [String]
    ) {
        self.device = device
        self.root = root
        self.point = point
        self.type = type
        self.options = options
    }

    private init?(line: Substring) {
        let fields = line.split(separator: " ")
        guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 1 else {
            return nil
        }
        device = String(fields[2])
        root = Self.unescaped(fields[3])
        point = Self.unescaped(fields[4])
        type = String(fields[dash + 1])
        options =
            fields.count > dash + 3 ? fields[dash + 3].split(separator: ",").map(String.init) : []
    }

    /// The kernel writes a space as `\040`, and other separators alike.
    private static func unescaped(_ field: Substring) -> String {
        guard field.contains("\\") else { return String(field) }
        var bytes: [UInt8] = []
        var rest = ArraySlice(field.utf8)
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(3), as: UTF8.self)
            guard byte == UInt8(ascii: "\\"), let code = UInt8(digits, radix: 8) else {
                bytes.append(byte)
                continue
            }
            bytes.append(code)
            rest = rest.dropFirst(3)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The mount that holds the file at `path`; nil if it is not known.
    package static func holding(_ path: String) -> Mount? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        let device = UInt64(status.st_dev)
        let major = (device >> 8) & 0xfff | (device >> 32) & ~0xfff
        let minor = device & 0xff | (device >> 12) & ~0xff
        return all().last { $0.device == "\(major):\(minor)" }
    }
}
