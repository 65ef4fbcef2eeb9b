internal import ArgumentParser
internal import Glibc
internal import Import
internal import Kernels
internal import Quantization
internal import Reporting
internal import WeightFile

struct QuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Converts a model to a .tsr weight file.",
        usage: "tessera quantize INPUT -o OUT.tsr [--bits 4|8|16|32]",
        discussion: """
            INPUT is a Hugging Face folder, a .gguf file, or a synthetic shape: random weights in
            the size of a real model, to see whether such a model would run here.

            Examples:
              tessera quantize ./Llama-3.1-8B-Instruct -o llama.tsr
              tessera quantize model.gguf -o model.tsr --bits 8
              tessera quantize ./Qwen3-8B -o qwen.tsr --tensor '*down_proj*=int8' --dry-run
              tessera quantize synthetic:llama-3.1-8b -o llama-8b.tsr
            """)

    @Argument(help: "Hugging Face folder, .gguf file, or synthetic:NAME.")
    var input: String

    @Option(name: .shortAndLong, help: "The .tsr file to write.")
    var output: String?

    @Option(help: "Bits per weight of the matrices: 4, 8, 16 or 32.")
    var bits = 4

    @Flag(help: "4-bit groups with a minimum of their own: 5.0 bits per weight, closer.")
    var affine = false

    @Option(
        name: .customLong("tensor"),
        help: "Encoding of tensors whose name matches, e.g. '*v_proj*=int8'; repeatable.")
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
        guard EncodingPlan.Options.Bits(rawValue: bits) != nil else {
            throw ValidationError("--bits \(bits): choose 4, 8, 16 or 32")
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
            var options = EncodingPlan.Options()
            options.bits = EncodingPlan.Options.Bits(rawValue: bits) ?? .four
            options.affine = affine
            options.overrides = overrides
            options.candidates = search
            let plan = try EncodingPlan(
                for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: options)
            let size = WeightFileWriter.plannedBytes(
                config: source.config, tokenizer: source.tokenizer,
                chatTemplate: source.chatTemplate, tensors: plan.specs, source: source.origin)
            if dryRun { return report(plan, size) }
            guard let output else { return }
            Terminal.note(
                "\(source.config.name): \(Format.bytes(source.sourceBytes)) -> "
                    + "\(Format.bytes(size)), \(Format.fixed(plan.bitsPerWeight, 2)) bits per weight"
            )
            try checkSpace(for: output, bytes: size)
            try await write(source, plan, to: output, size: size)
        }
    }

    private func checkOutput(_ output: String) throws {
        guard unsafe access(output, F_OK) == 0 else { return }
        guard force else {
            throw CommandError(
                .cannotCreate, "\(output): already exists; give --force to replace it")
        }
        var (old, new) = (stat(), stat())
        if unsafe stat(output, &old) == 0, unsafe stat(input, &new) == 0,
            old.st_ino == new.st_ino, old.st_dev == new.st_dev
        {
            throw CommandError(.usage, "\(output): is the input itself; choose another name")
        }
    }

    private func checkSpace(for output: String, bytes: Int) throws {
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
        _ source: any TensorSource, _ plan: EncodingPlan, to output: String, size: Int
    ) async throws {
        let start = Clock.now
        var progress = ProgressReport("quantizing")
        let weights = max(1, source.tensors.reduce(0) { $0 + $1.rows * $1.columns })
        let quantizer = Quantizer(
            source, plan: plan, threads: threads ?? Compute.usableThreads)
        let summaries: [EncodingSummary]
        do {
            summaries = try await quantizer.write(
                to: output,
                progress: { done, total in
                    progress.update(done: done, total: total) { seconds in
                        let bytes = Double(source.sourceBytes) * Double(done) / Double(weights)
                        return Format.bytes(Int(bytes / max(seconds, 1e-9))) + "/s"
                    }
                }, isCancelled: { Interruption.isRequested })
        } catch {
            progress.finish()
            throw error
        }
        let seconds = Clock.now - start
        if json {
            Terminal.write(json(plan, summaries, size: size, seconds: seconds).text + "\n")
            return
        }
        for summary in summaries {
            Terminal.note(
                "  \(summary.encoding): \(summary.tensors) tensors, \(Format.bytes(summary.bytes)), "
                    + "relative error \(Format.fixed(summary.relativeError, 4))")
        }
        Terminal.note(
            "wrote \(output): \(Format.bytes(size)) in \(Format.seconds(seconds)), "
                + "\(Format.bytes(Int(Double(source.sourceBytes) / seconds)))/s of source, "
                + "peak memory \(Format.bytes(Resources.peakRSS))")
    }

    private func json(
        _ plan: EncodingPlan, _ summaries: [EncodingSummary], size: Int, seconds: Double
    ) -> JSONOutput {
        .object([
            ("schema_version", 1), ("output", .string(output ?? "")), ("file_bytes", .int(size)),
            ("bits_per_weight", .number(plan.bitsPerWeight)), ("seconds", .number(seconds)),
            ("peak_rss_bytes", .int(Resources.peakRSS)),
            (
                "encodings",
                .array(
                    summaries.map {
                        .object([
                            ("encoding", .string($0.encoding.description)),
                            ("tensors", .int($0.tensors)), ("weights", .int($0.weights)),
                            ("bytes", .int($0.bytes)),
                            ("relative_error", .number($0.relativeError)),
                        ])
                    })
            ),
        ])
    }

    private func report(_ plan: EncodingPlan, _ size: Int) {
        if json {
            let tensors = plan.entries.map { entry in
                JSONOutput.object([
                    ("name", .string(entry.tensor.name)), ("rows", .int(entry.tensor.rows)),
                    ("columns", .int(entry.tensor.columns)),
                    ("source", .string(entry.tensor.type.rawValue)),
                    ("encoding", .string(entry.encoding.description)),
                    ("bytes", .int(entry.byteCount)), ("exact", .bool(entry.exact)),
                ])
            }
            let object = JSONOutput.object([
                ("schema_version", 1), ("file_bytes", .int(size)),
                ("bits_per_weight", .number(plan.bitsPerWeight)), ("tensors", .array(tensors)),
            ])
            return Terminal.write(object.text + "\n")
        }
        for entry in plan.entries {
            Terminal.write(
                "\(entry.tensor.name)  \(entry.tensor.rows) x \(entry.tensor.columns)  "
                    + "\(entry.tensor.type.rawValue) -> \(entry.encoding)"
                    + (entry.exact ? " (codes kept)" : "")
                    + "  \(Format.bytes(entry.byteCount))\n")
        }
        Terminal.write(
            "total \(Format.bytes(size)), \(Format.fixed(plan.bitsPerWeight, 2)) bits per weight\n")
    }
}
