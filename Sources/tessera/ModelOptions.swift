internal import ArgumentParser
internal import Decoding
internal import Glibc
internal import Kernels
internal import Residency
internal import Tokenization
internal import Transformer
internal import WeightFile

/// How a model is set up to run.
struct ModelOptions: ParsableArguments {
    @Option(
        name: .customLong("ctx"),
        help: "Positions a token sees (default: the model's own, at most 4096).")
    var context: Int?

    @Option(
        name: .shortAndLong,
        help: """
            Threads (default: the processors this process may use; one for a model so small that \
            passes are faster so).
            """)
    var threads: Int?

    @Option(help: "Numbers in the key/value cache: int8, int4, f16 or f32.")
    var kv = KeyValue.int8

    @Option(
        help: ArgumentHelp(
            """
            Memory to take at most, such as 2.5G or 800M (default: what the machine and its control \
            groups leave). Weights beyond it are read from disk in every pass.
            """, valueName: "size"))
    var ram: ByteSize?

    @Option(help: "How such weights are read: auto, direct, buffered or mapped.")
    var io = InputMethod.auto

    @Option(help: "Instruction set (default: the fastest here; see --version).")
    var isa: String?

    enum KeyValue: String, ExpressibleByArgument, CaseIterable {
        case int8, int4, f16, f32

        var encoding: KVLayer.Encoding {
            switch self {
            case .int8: .int8
            case .int4: .int4
            case .f16: .f16
            case .f32: .f32
            }
        }
    }

    func validate() throws {
        guard context.map({ (8...1 << 24).contains($0) }) ?? true else {
            throw ValidationError("--ctx takes 8 to \(1 << 24)")
        }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads takes 1 to 1024")
        }
    }

    /// - Parameter logitCapacity: Rows of logits a pass may ask for.
    func open(_ file: WeightFile, logitCapacity: Int) throws -> Transformer {
        var options = options(for: file, logitCapacity: logitCapacity)
        let isLimited = ram != nil
        options.loading = { plan, pace in
            if isLimited || !plan.isResident { Terminal.note("tessera: " + plan.sentence(pace)) }
        }
        return try Transformer(file, options: options)
    }

    func options(for file: WeightFile, logitCapacity: Int) -> Transformer.Options {
        var options = Transformer.Options()
        let budget = ram.map { MemoryBudget.asked($0.bytes) } ?? MemoryBudget.available()
        options.memory = budget
        options.inputMethod = io
        options.weightsLost = { reason in
            Terminal.note("tessera: \(reason)")
            ExitStatus.ioError.end()
        }
        options.contextLength =
            context ?? Transformer.Options.context(file.config, in: budget, kv.encoding)
        options.threads = threads
        options.isa = isa
        options.logitCapacity = max(1, logitCapacity)
        options.kvEncoding = kv.encoding
        return options
    }
}

/// How tokens are drawn; what is not named comes from the model.
struct DrawOptions: ParsableArguments {
    @Option(
        name: [.customLong("temp"), .customLong("temperature")],
        help: "Temperature; 0 takes the likeliest token.")
    var temperature: Float?

    @Option(help: "Draw from the K likeliest tokens; 0 is off.")
    var topK: Int?

    @Option(help: "Draw from the fewest tokens that together have this probability; 1 is off.")
    var topP: Float?

    @Option(help: "Leave out tokens less likely than this share of the likeliest; 0 is off.")
    var minP: Float = 0

    @Option(help: "Makes tokens of the last 64 less likely; 1 is off.")
    var repeatPenalty: Float = 1

    @Option(name: .shortAndLong, help: "Seed of the random numbers (default: another every time).")
    var seed: UInt64?

    func validate() throws {
        do {
            try options(ModelConfig.SamplingDefaults()).validate()
        } catch {
            throw ValidationError(error.description)
        }
    }

    func options(_ defaults: ModelConfig.SamplingDefaults) -> SamplingOptions {
        var options = SamplingOptions()
        options.temperature = temperature ?? defaults.temperature
        options.topK = topK ?? defaults.topK
        options.topP = topP ?? defaults.topP
        options.minP = minP
        options.repeatPenalty = repeatPenalty
        options.seed = seed ?? UInt64.random(in: 0...UInt64(UInt32.max))
        return options
    }
}
