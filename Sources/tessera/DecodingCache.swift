internal import Decoding
internal import Glibc
internal import Kernels
internal import Residency
internal import System
internal import Transformer
internal import WeightFile

/// What block decoding learns of a model on this machine, in the user's cache folder: how long passes
/// take, and how far guesses hold.
enum DecodingCache {
    /// The time of passes: remembered, or measured now and remembered. Another build of the program,
    /// another machine or another way to draw measures anew.
    static func costs(
        of sequence: TokenSequence, _ sampler: Sampler, largest: Int
    ) throws(DecodingError) -> PassCosts {
        let options = sampler.options
        // What is read from disk in each pass, in steps of a sixteenth of the weights.
        let model = sequence.model
        let plan = model.residency
        let streamed = 16 * plan.streamedBytes / max(1, plan.weightBytes)
        let path = CacheFile.path(
            "pass-times",
            [
                modelKey(model), model.compute.isa, "\(model.compute.threads)",
                processor(), program(), "\(streamed)", "\(largest)", "\(options.isGreedy)",
                "\(options.topK > 0 || options.topP < 1 || options.minP > 0)",
            ])
        if let known = path.flatMap(CacheFile.lines).map(PassCosts.init(reading:)), !known.isEmpty {
            return known
        }
        if Terminal.errorIsTTY { Terminal.note("measuring the time of passes (once)...") }
        let costs = try PassCosts.measure(sequence, sampler: sampler, largest: largest)
        if let path {
            CacheFile.write(costs.lines.map { $0 + "\n" }.joined(), to: path)
        }
        return costs
    }

    /// Where the experience with a model, decoded in one way, is kept.
    static func experiencePath(
        _ model: Model, _ sampling: SamplingOptions, decoding: String
    ) -> String? {
        let drawing =
            sampling.isGreedy
            ? "greedy"
            : "\(sampling.temperature)/\(sampling.topK)/\(sampling.topP)/\(sampling.minP)"
        return CacheFile.path("acceptance", [modelKey(model), drawing, decoding])
    }

    private static func modelKey(_ model: Model) -> String {
        let config = model.config
        return "\(config.name)/\(model.weightBytes)/\(config.layerCount)/\(config.hiddenSize)"
    }

    private static func processor() -> String {
        let lines = CacheFile.lines("/proc/cpuinfo") ?? []
        return lines.first { $0.hasPrefix("model name") } ?? ""
    }

    /// Size and time of this program: its kernels may be faster than the last ones.
    private static func program() -> String {
        var status = stat()
        guard unsafe stat("/proc/self/exe", &status) == 0 else { return "" }
        return "\(status.st_size)/\(status.st_mtim.tv_sec)"
    }
}

/// What a decoder learned, to be kept for the next run.
struct Learned {
    let source: any ExperienceSource
    let path: String

    /// What earlier runs have left at `path`, or nothing.
    static func read(_ path: String?, _ nothing: Experience) -> Experience {
        path.flatMap(CacheFile.lines).map { nothing.reading($0) } ?? nothing
    }

    /// Adds this run to what others have left by now. To be called once.
    func save() {
        let run = source.run
        let merged = Self.read(path, run.emptied).merged(with: run)
        CacheFile.write(merged.lines.map { $0 + "\n" }.joined(), to: path)
    }
}

/// Small text files in the user's cache folder.
enum CacheFile {
    /// `$TESSERA_CACHE`, `$XDG_CACHE_HOME/tessera` or `~/.cache/tessera`, each only if absolute.
    static func folder() -> String? {
        func absolute(_ name: String) -> String? {
            Terminal.environment(name).flatMap { $0.hasPrefix("/") ? $0 : nil }
        }
        return absolute("TESSERA_CACHE") ?? absolute("XDG_CACHE_HOME").map { $0 + "/tessera" }
            ?? absolute("HOME").map { $0 + "/.cache/tessera" }
    }

    /// The file of a kind for what `key` names; nil without a folder.
    static func path(_ kind: String, _ key: [String]) -> String? {
        guard let folder = folder() else { return nil }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325  // FNV-1a
        for byte in key.joined(separator: "\n").utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return "\(folder)/\(kind)/\(String(hash, radix: 16)).txt"
    }

    static func lines(_ path: String) -> [String]? {
        SystemFile.text(path)?.split(separator: "\n").map { String($0) }
    }

    /// Writes the file. A cache that cannot be written is no error.
    static func write(_ text: String, to path: String) {
        makeFolder(of: path, depth: 3)
        do {
            let output = try OutputFile(OutputPlace(path, takesStreams: false))
            try output.append(text)
            try output.commit()
        } catch {}
    }

    /// Makes the folders of a file: of a kind, of the program, and the one that holds all caches. What
    /// would hold that, such as a home, must be there.
    static func makeFolder(of path: String, depth: Int) {
        guard depth > 0, let slash = path.lastIndex(of: "/") else { return }
        let folder = String(path[..<slash])
        guard unsafe mkdir(folder, 0o755) != 0, errno == ENOENT else { return }
        makeFolder(of: folder, depth: depth - 1)
        unsafe mkdir(folder, 0o755)
    }
}
