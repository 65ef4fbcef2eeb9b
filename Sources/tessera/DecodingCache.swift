internal import Decoding
internal import Glibc
internal import Kernels
internal import Residency
internal import Machine
internal import Tessera
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
