internal import ArgumentParser
internal import Glibc
internal import TesseraImport
internal import TesseraKernels
internal import TesseraQuantization
internal import TesseraReporting
internal import TesseraResidency
internal import TesseraMachine
internal import Tessera
internal import TesseraTransformer
internal import TesseraWeightFile

struct QuantizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quantize",
        abstract: "Converts a model to a .tsr weight file.",
        usage:
            "tessera quantize INPUT -o OUT.tsr [--bits BITS | --size SIZE | --ram SIZE | --kl DIVERGENCE]",
        discussion: """
            INPUT is a Hugging Face folder, a .gguf file, or a synthetic shape: random weights in \
            the shape of a real model, to see whether such a model would run here. A GGUF model in \
            parts is named by any of them, or by a folder that holds nothing else.

            Weights that are quantized already keep their codes, exactly: a GGUF file in Q4_K_M or any other \
            type takes about as much space afterwards and gives the same logits. Floats get 8 bits, which \
            changes very little.

            --bits, --size, --ram or --kl makes the file smaller or closer to the source. The bytes are shared out so that the \
            model as a whole loses least. Weights are stored in the fastest of three ways that lose little: plain, \
            as kernels read them, or coded with zstd or in a trellis, and decoded in every pass. A table shows what \
            the other ways would give. 4, 5, 6 and 8 bits are plain. A conversion that was killed goes \
            on where it was when the same command is given again and the source is as it was.

            Examples:
              tessera quantize model.Q4_K_M.gguf -o model.tsr
              tessera quantize ./Llama-3.1-8B-Instruct -o llama.tsr --bits 4
              tessera quantize ./Qwen3-8B -o qwen.tsr --bits 3.6
              tessera quantize ./Qwen3-8B -o qwen.tsr --kl 0.02
              tessera quantize ./Qwen3-8B -o qwen.tsr --ram 4GB --dry-run
              tessera quantize ./Qwen3-8B -o qwen.tsr --tensor '*down_proj*=int8' --dry-run
              tessera quantize synthetic:llama-3.1-8b -o llama-8b.tsr
              tessera quantize ./Qwen3-8B-DFlash-b16 --drafts-for qwen.tsr --bits 4 -o drafter.tsr
            """)

    @Argument(help: "Hugging Face folder, .gguf file, or synthetic:NAME.", completion: .file())
    var input: String

    @Option(name: .shortAndLong, help: "The .tsr file to write.", completion: .file())
    var output: String?

    @Option(
        help: """
            Bits per code, 4, 5, 6, 8, 16 or 32, or stored bits per weight, such as 3.6; without it weights \
            keep their codes, and floats get 8. With 4 to 6, important matrices get more bits and others fewer. Codes \
            of a source with so few bits are kept. Scales take another 0.6 to 0.8 bits.
            """)
    var bits: Double?

    @Option(help: "Size that the file may have at most, such as 3.2GB.")
    var size: ByteSize?

    @Option(help: "Make the largest file that lets the model run in so much memory, such as 4GB.")
    var ram: ByteSize?

    @Option(
        help: """
            Largest divergence from the source: the expected mean KL of the next token in nats, such as 0.02, on the \
            text of --calibrate.
            """)
    var kl: Double?

    @Option(
        help: """
            How weights are stored. plain: as kernels read them. zstd: entropy-coded, for any processor. trellis: \
            decodes several times faster, with AVX-512 VBMI as fast as memory is read. rans: decodes twice as fast as zstd \
            with AVX-512, and ten times more slowly without. auto: the fastest of plain, zstd and trellis whose divergence \
            is at most a fifth above the least.
            """)
    var codec = Codec.auto

    enum Codec: String, ExpressibleByArgument, CaseIterable {
        case auto, plain, zstd, rans, trellis

        /// Bits per weight that can be asked for. Few models can be coded in less than 1.5 by steps, and none with plain
        /// codes in less than 3.5.
        var rates: ClosedRange<Double> {
            switch self {
            case .auto: 1...8
            case .plain: 3.5...9
            case .zstd, .rans: 1.5...8
            case .trellis: 1...6
            }
        }
    }

    @Option(
        help: ArgumentHelp(
            """
            Calibrate with this text, in place of the built-in one. It should be like the texts that the model will see. \
            A copy of the model reads the text, which shows which errors matter. The copy has 8 bits per weight; \
            calibration takes up to 1.5 GB more, and about ten minutes for 8 billion weights. off: do not calibrate.
            """, valueName: "text"), completion: .file())
    var calibrate: String?

    @Option(help: "Most tokens of that text to use.")
    var calibrationTokens = 4096

    @Option(
        name: .customLong("tensor"),
        help: ArgumentHelp(
            """
            Encoding, or bits when coded, of tensors whose name matches, e.g. '*v_proj*=int8' or \
            '*v_proj*=5.5'; repeatable.
            """))
    var overrides: [String] = []

    @Option(
        help: ArgumentHelp(
            """
            INPUT is a block drafter (DFlash, DSpark) for this model. It reads the hidden states of the model and guesses \
            several tokens at once: see 'generate --draft'.
            """, valueName: "model"), completion: .file(extensions: ["tsr"]))
    var draftsFor: String?

    @Option(
        help:
            "With --drafts-for: most tokens that can be drafted. They are those with the lowest ids, unless the drafter names them."
    )
    var draftVocabulary = 32_768

    @Flag(help: "Print the plan and the size, write nothing.")
    var dryRun = false

    @Flag(help: "Replace OUT.tsr if it exists.")
    var force = false

    @Option(name: .shortAndLong, help: "Threads (default: all processors).")
    var threads: Int?

    @Flag(help: "Print a JSON object.")
    var json = false

    func validate() throws {
        let wishes = [bits == nil, size == nil, ram == nil, kl == nil].filter { !$0 }.count
        guard wishes <= 1 else {
            throw ValidationError("give one of --bits, --size, --ram and --kl")
        }
        guard kl.map({ (1e-6...10).contains($0) }) ?? true else {
            throw ValidationError("--kl takes 0.000001 to 10 nats")
        }
        guard kl == nil || calibrate != "off" else {
            throw ValidationError("--kl needs calibration; leave --calibrate off out")
        }
        if let bits, plainBits == nil, !codec.rates.contains(bits) {
            throw ValidationError(
                "--bits \(text(bits)) is out of range; --codec \(codec.rawValue) takes "
                    + "\(text(codec.rates.lowerBound)) to \(text(codec.rates.upperBound)) bits per weight, "
                    + "plain codes have 4, 5, 6, 8, 16 or 32")
        }
        try size?.check("--size")
        try ram?.check("--ram")
        guard calibrate == nil || calibrate == "off" || isShared else {
            throw ValidationError("--calibrate goes with --bits below 8, --size, --ram and --kl")
        }
        guard codec == .auto || isShared else {
            throw ValidationError("--codec goes with --bits below 8, --size, --ram and --kl")
        }
        guard (256...1 << 20).contains(calibrationTokens) else {
            throw ValidationError("--calibration-tokens takes 256 to \(1 << 20)")
        }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads takes 1 to 1024")
        }
        guard (1...1 << 22).contains(draftVocabulary) else {
            throw ValidationError("--draft-vocabulary takes 1 to \(1 << 22)")
        }
        guard draftsFor == nil || kl == nil && calibrate == nil else {
            throw ValidationError("--kl and --calibrate: a drafter is not calibrated")
        }
        guard dryRun || output != nil else {
            throw ValidationError("name the file to write with -o OUT.tsr, or give --dry-run")
        }
    }

    func run() async throws {
        let start = Clock.now
        try await reportingErrors {
            Interruption.install()
            let place = try output.flatMap { dryRun ? nil : try checkedPlace($0) }
            let source = try openSource()
            for note in source.notes { Terminal.note("note: \(note)") }
            if draftsFor == nil { warnAboutTemplate(source) }
            var options = try encodingOptions(source)
            if let place, let asked = askedBytes(options, source) {
                try checkSpace(for: place, bytes: asked)
            }
            options.calibration = try await calibration(source, options)
            guard kl == nil || options.calibration != nil else {
                throw CommandError(
                    .usage,
                    "--kl \(text(kl ?? 0)): this model cannot be calibrated here; give --bits or --size"
                )
            }
            guard let place else {
                let plan = try await makePlan(source, options)
                return report(plan, quantizer(source, plan).plannedBytes)
            }
            let (plan, result) = try await write(source, options, to: place)
            report(source, plan, result, seconds: Clock.now - start)
        }
    }

    private func openSource() throws -> any TensorSource {
        guard let draftsFor else { return try openModel(at: input) }
        return try HuggingFaceDrafter(
            folder: input, for: try TargetHead(try WeightFile(path: draftsFor)),
            vocabulary: draftVocabulary)
    }

    func quantizer(_ source: any TensorSource, _ plan: EncodingPlan) -> Quantizer {
        Quantizer(source, plan: plan, threads: threads ?? Processors.usable)
    }

    private func checkedPlace(_ output: String) throws -> OutputPlace {
        let inputs = [input, calibrate, draftsFor].compactMap { $0 == "off" ? nil : $0 }
        let place = try OutputPlace(output, takesStreams: false, inputs: inputs)
        guard place.kind == .nothing || force else {
            throw CommandError(
                .cannotCreate, "\(output): already exists; give --force to replace it")
        }
        return place
    }

    func checkSpace(for place: OutputPlace, bytes: Int) throws {
        guard let free = place.availableBytes, free < bytes else { return }
        throw CommandError(
            .cannotCreate,
            "\(place.folder): \(Format.bytes(free)) free, \(Format.bytes(bytes)) needed; "
                + "free some space or write elsewhere")
    }

    /// Plans and writes, anew where the file became larger than was asked for: sizes of coded tensors
    /// are estimates, mostly right within a thousandth.
    private func write(
        _ source: any TensorSource, _ options: EncodingPlan.Options, to place: OutputPlace
    ) async throws -> (EncodingPlan, Quantizer.Result) {
        guard case .fileBytes(let limit) = options.target else {
            let plan = try await makePlan(source, options)
            return (plan, try await write(source, plan, to: place, limit: nil))
        }
        var options = options
        var spare = limit / 400
        while true {
            options.target = .fileBytes(limit - spare)
            let plan = try await makePlan(source, options)
            options.storages = [plan.storage]
            do {
                return (plan, try await write(source, plan, to: place, limit: limit))
            } catch QuantizationError.tooLarge(let bytes, _) {
                spare += 2 * (bytes - limit)
                Terminal.note("\(bytes - limit) bytes too many: once more with coarser codes")
            }
        }
    }

    private func write(
        _ source: any TensorSource, _ plan: EncodingPlan, to place: OutputPlace, limit: Int?
    ) async throws -> Quantizer.Result {
        let quantizer = quantizer(source, plan)
        let size = quantizer.plannedBytes
        Terminal.note(
            "\(source.config.name): \(Format.bytes(source.sourceBytes)) -> "
                + "\(plan.isCoded ? "about " : "")\(Format.bytes(size)), "
                + "\(Format.fixed(plan.bitsPerWeight, 2)) bits per weight")
        note(plan.alternatives)
        noteUnused(plan, size)
        noteMemory(size)
        try checkSpace(for: place, bytes: size)
        var progress = ProgressReport("quantizing")
        defer { progress.finish() }
        let weights = Double(max(1, source.tensors.reduce(0) { $0 + $1.rows * $1.columns }))
        var first: Int?
        return try await quantizer.write(
            to: place.path, limit: limit,
            progress: { done, total in
                let before = first ?? done
                first = before
                progress.update(done: done, total: total) { seconds in
                    let bytes = Double(source.sourceBytes) * Double(done - before) / weights
                    return Format.bytes(Int(bytes / max(seconds, 1e-9))) + "/s"
                }
            }, isCancelled: { Interruption.isRequested })
    }
}
