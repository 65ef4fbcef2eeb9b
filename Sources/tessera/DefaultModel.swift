internal import Glibc

/// The model that commands use where none is named.
enum DefaultModel {
    /// The file named by `TESSERA_MODEL`, or the one that comes with the program.
    static func path() throws -> String {
        if let path = Terminal.environment("TESSERA_MODEL"), !path.isEmpty { return path }
        guard let found = candidates().first(where: { unsafe access($0, R_OK) == 0 }) else {
            throw CommandError(
                .noInput,
                "no model: name a .tsr file, or set TESSERA_MODEL; "
                    + "'tessera quantize' makes one from a Hugging Face folder or a .gguf file")
        }
        return found
    }

    /// Beside the program, in an installation's `share`, and in the folders above the program, where
    /// a checkout has it.
    private static func candidates() -> [String] {
        let name = "default.tsr"
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe buffer.withUnsafeMutableBytes {
            guard let base = $0.baseAddress else { return 0 }
            return unsafe readlink("/proc/self/exe", base, $0.count)
        }
        guard count > 0 else { return [] }
        var folder = String(decoding: buffer[..<count], as: UTF8.self)
        var paths: [String] = []
        while let slash = folder.lastIndex(of: "/"), paths.count < 16 {
            folder = String(folder[..<slash])
            paths.append("\(folder)/\(name)")
            paths.append("\(folder)/share/tessera/\(name)")
            paths.append("\(folder)/Sources/tessera/Resources/\(name)")
        }
        return paths
    }
}
