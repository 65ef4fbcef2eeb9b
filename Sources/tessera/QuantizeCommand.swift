internal import ArgumentParser
internal import Glibc
internal import Import
internal import Kernels
internal import Quantization
internal import Reporting
internal import Residency
internal import System
internal import Transformer
internal import WeightFile

struct QuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Converts a model to a .tsr weight file.",
        usage: "tessera quantize INPUT -o OUT.tsr [--bits BITS | --size SIZE | --ram SIZE]",
        discussion: """
            INPUT is a Hugging Face folder, a .gguf file, or a synthetic shape: random weights in
            the size of a real model, to see whether such a model would run here.

            With 4, 8, 16 or 32 bits, weights are stored as kernels read them. Any other number, a size
            or --coded makes them coded: smaller or closer, and decoded anew in every pass. The bytes
            are shared out so that the model as a whole loses least. A conversion that was killed goes
            on where it was when the same command is given again.

            Examples:
              tessera quantize ./Llama-3.1-8B-Instruct -o llama.tsr
              tessera quantize model.gguf -o model.tsr --bits 8
              tessera quantize ./Qwen3-8B -o qwen.tsr --bits 3.6
              tessera quantize ./Qwen3-8B -o qwen.tsr --ram 4GB --dry-run
              tessera quantize ./Qwen3-8B -o qwen.tsr --tensor '*down_proj*=int8' --dry-run
              tessera quantize synthetic:llama-3.1-8b -o llama-8b.tsr
            """)

    @Argument(help: "Hugging Face folder, .gguf file, or synthetic:NAME.")
    var input: String

    @Option(name: .shortAndLong, help: "The .tsr file to write.")
    var output: String?

    @Option(help: "Bits per code, 4, 8, 16 or 32, or stored bits per weight, such as 3.6.")
    var bits: Double?

    @Option(help: "Size of the file, such as 3.2GB.")
    var size: ByteSize?

    @Option(help: "The file takes what lets the model run in so much memory, such as 4GB.")
    var ram: ByteSize?

    @Flag(help: "Coded where --bits is 4 or 8, too.")
    var coded = false

    @Option(
        help: """
            How coded files are coded: zstd; rans, which decodes twice as fast with AVX-512 and ten \
            times more slowly without; or trellis, 1 to 6 whole bits per weight of each matrix, which \
            decodes three times as fast as zstd, and with AVX-512 VBMI as fast as memory is read.
            """)
    var codec = Codec.zstd

    enum Codec: String, ExpressibleByArgument, CaseIterable {
        case zstd, rans, trellis

        var storage: StorageClass {
            switch self {
            case .zstd: .zstd
            case .rans: .rans
            case .trellis: .trellis
            }
        }
    }

    @Option(
        help: ArgumentHelp(
            """
            For coded files: a text such as the model will see, from which is learnt which errors \
            matter and which can be made up for.
            """, valueName: "file"))
    var calibrate: String?

    @Option(help: "Tokens of that text to take at most.")
    var calibrationTokens = 4096

    @Flag(help: "4-bit groups with a minimum of their own: 5.0 bits per weight, closer.")
    var affine = false

    @Option(
        name: .customLong("tensor"),
        help: ArgumentHelp(
            """
            Encoding, or bits when coded, of tensors whose name matches, e.g. '*v_proj*=int8' or \
            '*v_proj*=5.5'; repeatable.
            """))
    var overrides: [String] = []

    @Option(help: "Starting points of the search for each 4-bit scale; more is slower.")
    var search = 4

    @Flag(help: "Print the plan and the size, write nothing.")
    var dryRun = false

    @Flag(help: "Replace OUT.tsr if it exists.")
    var force = false

    @Option(name: .shortAndLong, help: "Threads (default: all processors).")
    var threads: Int?

    @Flag(help: "Print a JSON object.")
    var json = false

    func validate() throws {
        let sizes = [bits == nil, size == nil, ram == nil].filter { !$0 }.count
        guard sizes <= 1 else {
            throw ValidationError("give one of --bits, --size and --ram")
        }
        if let bits, plainBits == nil, !EncodingPlan.rates.contains(bits) {
            throw ValidationError(
                "--bits takes 4, 8, 16, 32 or any number from \(EncodingPlan.rates.lowerBound) to "
                    + "\(EncodingPlan.rates.upperBound)")
        }
        guard !coded || bits.map(EncodingPlan.rates.contains) ?? true else {
            throw ValidationError("--coded does not go with --bits \(bits ?? 0)")
        }
        guard calibrate == nil || plainBits == nil else {
            throw ValidationError("--calibrate goes with coded files: --bits 3.6, --size, --ram")
        }
        guard codec == .zstd || plainBits == nil else {
            throw ValidationError(
                "--codec goes with coded files: --bits 3.6, --size, --ram, --coded")
        }
        guard (256...1 << 20).contains(calibrationTokens) else {
            throw ValidationError("--calibration-tokens takes 256 to \(1 << 20)")
        }
        guard !affine || plainBits == .four else {
            throw ValidationError("--affine goes with --bits 4 only")
        }
        guard (0...64).contains(search) else { throw ValidationError("--search takes 0 to 64") }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads takes 1 to 1024")
        }
        guard dryRun || output != nil else {
            throw ValidationError("name the file to write with -o OUT.tsr, or give --dry-run")
        }
    }

    func run() async throws {
        try await reportingErrors {
            Interruption.install()
            if let output, !dryRun { try checkOutput(output) }
            let source = try openModel(at: input)
            let plan = try await makePlan(source)
            let quantizer = Quantizer(
                source, plan: plan, threads: threads ?? Processors.usable)
            let size = quantizer.plannedBytes
            if dryRun { return report(plan, size) }
            guard let output else { return }
            Terminal.note(
                "\(source.config.name): \(Format.bytes(source.sourceBytes)) -> "
                    + "\(plan.isCoded ? "about " : "")\(Format.bytes(size)), "
                    + "\(Format.fixed(plan.bitsPerWeight, 2)) bits per weight"
            )
            try checkSpace(for: output, bytes: size)
            try await write(source, plan, quantizer, to: output)
        }
    }

    /// The bits where they are those of plain codes.
    private var plainBits: EncodingPlan.Options.Bits? {
        guard size == nil, ram == nil, !coded else { return nil }
        return Int(exactly: bits ?? 4).flatMap(EncodingPlan.Options.Bits.init(rawValue:))
    }

    private func makePlan(_ source: any TensorSource) async throws -> EncodingPlan {
        var options = EncodingPlan.Options()
        options.affine = affine
        options.overrides = overrides
        options.candidates = search
        options.storage = codec.storage
        if let size {
            options.target = .fileBytes(size.bytes)
        } else if let ram {
            options.target = .fileBytes(try fileBytes(for: source, memory: ram.bytes))
        } else if let plainBits {
            options.bits = plainBits
        } else {
            options.target = .bitsPerWeight(bits ?? 4)
        }
        if let calibrate {
            options.calibration = try await calibration(source, text: calibrate)
        }
        let planner = try RatePlanner(
            source, options: options, threads: threads ?? Processors.usable)
        var progress = ProgressReport("measuring")
        defer { progress.finish() }
        return try await planner.plan(
            progress: { progress.update(done: $0, total: $1) },
            isCancelled: { Interruption.isRequested })
    }

    /// What a run with all weights in memory leaves of `memory` for the file.
    private func fileBytes(for source: any TensorSource, memory: Int) throws -> Int {
        let metadata = WeightFileWriter.plannedBytes(
            config: source.config, tokenizer: source.tokenizer,
            chatTemplate: source.chatTemplate, tensors: [])
        let budget = MemoryBudget(bytes: memory, source: .option)
        let options = Transformer.Options()
        let needs = Transformer.needs(
            source.config, metadataBytes: metadata,
            context: Transformer.Options.context(source.config, in: budget, options.kvEncoding),
            options: options)
        guard needs.total < memory else {
            throw CommandError(
                .usage,
                "--ram \(Format.bytes(memory)): cache and buffers alone take "
                    + Format.bytes(needs.total))
        }
        return memory - needs.total
    }

    private func checkOutput(_ output: String) throws {
        let inputs = [input, calibrate].compactMap { $0 }
        let place = try OutputPlace(output, takesStreams: false, inputs: inputs)
        guard place.kind == .nothing || force else {
            throw CommandError(
                .cannotCreate, "\(output): already exists; give --force to replace it")
        }
    }

    func checkSpace(for output: String, bytes: Int) throws {
        let folder = output.lastIndex(of: "/").map { String(output[...$0]) } ?? "."
        var volume = statvfs()
        guard unsafe statvfs(folder, &volume) == 0 else {
            throw CommandError(.cannotCreate, "\(folder): no such folder")
        }
        let free = Int(volume.f_bavail) * Int(volume.f_frsize)
        guard free >= bytes else {
            throw CommandError(
                .cannotCreate,
                "\(folder): \(Format.bytes(free)) free, \(Format.bytes(bytes)) needed; "
                    + "free some space or write elsewhere")
        }
    }

    private func write(
        _ source: any TensorSource, _ plan: EncodingPlan, _ quantizer: Quantizer, to output: String
    ) async throws {
        let start = Clock.now
        var progress = ProgressReport("quantizing")
        let weights = max(1, source.tensors.reduce(0) { $0 + $1.rows * $1.columns })
        var first: Int?
        let result: Quantizer.Result
        do {
            result = try await quantizer.write(
                to: output,
                progress: { done, total in
                    let before = first ?? done
                    first = before
                    progress.update(done: done, total: total) { seconds in
                        let share = Double(done - before) / Double(weights)
                        let bytes = Double(source.sourceBytes) * share
                        return Format.bytes(Int(bytes / max(seconds, 1e-9))) + "/s"
                    }
                }, isCancelled: { Interruption.isRequested })
        } catch {
            progress.finish()
            throw error
        }
        let seconds = Clock.now - start
        if json {
            return Terminal.write(json(plan, result, seconds: seconds).text + "\n")
        }
        if result.continuedWeights > 0 {
            let share = Double(result.continuedWeights) / Double(weights)
            Terminal.note("  \(Int(100 * share))% taken over from an interrupted run")
        }
        for summary in result.summaries {
            Terminal.note(
                "  \(summary.storage == .plain ? "" : "coded ")\(summary.encoding): "
                    + "\(summary.tensors) tensors, \(Format.bytes(summary.bytes)), "
                    + "relative error \(Format.fixed(summary.relativeError, 4))")
        }
        let done = Double(weights - result.continuedWeights) / Double(weights)
        Terminal.note(
            "wrote \(output): \(Format.bytes(result.fileBytes)) in \(Format.seconds(seconds)), "
                + "\(Format.bytes(Int(done * Double(source.sourceBytes) / seconds)))/s of source, "
                + "peak memory \(Format.bytes(Resources.peakRSS))")
    }
}
