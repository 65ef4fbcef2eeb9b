internal import Decoding
internal import Glibc
internal import Kernels
internal import Residency
internal import Transformer
internal import WeightFile

/// Remembers how long passes take, per model and machine, in the user's cache folder.
enum PassCostCache {
    /// The time of passes: remembered, or measured now and remembered.
    static func costs(of transformer: Transformer, largest: Int) -> PassCosts {
        let path = path(for: transformer)
        if let path, let known = read(path), !known.isEmpty { return known }
        if Terminal.errorIsTTY { Terminal.note("measuring the time of passes (once)...") }
        let costs = PassCosts.measure(transformer, largest: largest)
        if let path { write(costs, to: path) }
        return costs
    }

    /// `$TESSERA_CACHE`, `$XDG_CACHE_HOME/tessera` or `~/.cache/tessera`, each only if absolute.
    static func folder() -> String? {
        func absolute(_ name: String) -> String? {
            Terminal.environment(name).flatMap { $0.hasPrefix("/") ? $0 : nil }
        }
        return absolute("TESSERA_CACHE") ?? absolute("XDG_CACHE_HOME").map { $0 + "/tessera" }
            ?? absolute("HOME").map { $0 + "/.cache/tessera" }
    }

    private static func path(for transformer: Transformer) -> String? {
        guard let folder = folder() else { return nil }
        let config = transformer.config
        // What is read from disk in each pass, in steps of a sixteenth of the weights.
        let plan = transformer.residency
        let streamed = 16 * plan.streamedBytes / max(1, plan.weightBytes)
        let key =
            "\(config.name)/\(transformer.weightBytes)/\(streamed)/\(config.layerCount)/\(config.hiddenSize)/"
            + "\(transformer.compute.isa)/\(transformer.compute.threads)/\(processor())"
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a
        for byte in key.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return "\(folder)/pass-times/\(String(hash, radix: 16)).txt"
    }

    private static func processor() -> String {
        guard let bytes = try? PromptOptions.read(path: "/proc/cpuinfo") else { return "" }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return lines.first { $0.hasPrefix("model name") }.map { String($0) } ?? ""
    }

    /// Lines of "positions seconds".
    private static func read(_ path: String) -> PassCosts? {
        guard let bytes = try? PromptOptions.read(path: path) else { return nil }
        let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        return PassCosts(
            lines.compactMap { line in
                let fields = line.split(separator: " ")
                guard fields.count == 2, let positions = Int(fields[0]),
                    let seconds = Double(fields[1])
                else { return nil }
                return (positions, seconds)
            })
    }

    /// Writes beside the file and renames. A cache that cannot be written is no error.
    private static func write(_ costs: PassCosts, to path: String) {
        var at = path.startIndex
        while let slash = path[at...].dropFirst().firstIndex(of: "/") {
            unsafe mkdir(String(path[..<slash]), 0o755)
            at = slash
        }
        let temporary = "\(path).\(getpid())"
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { return }
        let text = costs.points.map { "\($0.positions) \($0.seconds)\n" }.joined()
        let bytes = Array(text.utf8)
        let written = unsafe bytes.withUnsafeBytes {
            unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
        }
        close(descriptor)
        let isWhole = written == bytes.count
        if unsafe !isWhole || rename(temporary, path) != 0 { unsafe unlink(temporary) }
    }
}
