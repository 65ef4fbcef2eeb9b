internal import Glibc
internal import TesseraMachine
internal import TesseraWeightFile

/// Small text files in the user's cache folder.
package enum CacheFile {
    /// `$TESSERA_CACHE`, `$XDG_CACHE_HOME/tessera` or `~/.cache/tessera`, each only if absolute.
    package static func folder() -> String? {
        func absolute(_ name: String) -> String? {
            guard let value = unsafe getenv(name).map({ unsafe String(cString: $0) }),
                value.hasPrefix("/")
            else { return nil }
            return value
        }
        return absolute("TESSERA_CACHE") ?? absolute("XDG_CACHE_HOME").map { $0 + "/tessera" }
            ?? absolute("HOME").map { $0 + "/.cache/tessera" }
    }

    /// The file of a kind for a key; nil without a folder.
    package static func path(_ kind: String, _ key: [String]) -> String? {
        guard let folder = folder() else { return nil }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a
        for byte in key.joined(separator: "\n").utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return "\(folder)/\(kind)/\(String(hash, radix: 16)).txt"
    }

    package static func lines(_ path: String) -> [String]? {
        SystemFile.text(path)?.split(separator: "\n").map { String($0) }
    }

    /// Writes the file. A cache that cannot be written is no error.
    package static func write(_ text: String, to path: String) {
        makeFolder(of: path, depth: 3)
        do {
            let output = try OutputFile(OutputPlace(path, takesStreams: false))
            try output.append(text)
            try output.commit()
        } catch {}
    }

    /// Makes the folders of a file: that of its kind, that of the program, and the one that holds all caches. The
    /// folder around these, such as a home, must exist.
    package static func makeFolder(of path: String, depth: Int, mode: UInt32 = 0o755) {
        guard depth > 0, let slash = path.lastIndex(of: "/") else { return }
        let folder = String(path[..<slash])
        guard unsafe mkdir(folder, mode) != 0, errno == ENOENT else { return }
        makeFolder(of: folder, depth: depth - 1, mode: mode)
        unsafe mkdir(folder, mode)
    }
}
