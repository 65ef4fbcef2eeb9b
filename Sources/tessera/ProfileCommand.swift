internal import ArgumentParser
internal import TesseraKernels
internal import TesseraProfiling
internal import TesseraReporting
internal import TesseraTransformer
internal import TesseraWeightFile

struct ProfileCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "profile",
        abstract:
            "Measures how long passes of a model take here, and compares them with the machine's limits.",
        discussion: """
            Examples:
              tessera profile model.tsr
              tessera profile model.tsr --passes 1,8,16 --context 0,1024 --kind open --logits all
              tessera profile model.tsr --passes 1,16 --operations
              tessera profile model.tsr --parallel 16 --passes 1,2,4
              tessera profile model.tsr --draft lookup --passes 1,4,8,16 --trace profile.trace.json
              tessera profile model.tsr --html profile.html --trace profile.trace.json
              tessera profile model.tsr --passes 1 --target-threads 1
              tessera profile model.tsr --repetitions 100 --json > after.json
              tessera profile model.tsr --read-rate 8 --multiply-rate 60 --memory 3 --disk-rate 0.4
              tessera profile --compare before.json after.json
            """)

    @Argument(help: "A .tsr file.", completion: .file(extensions: ["tsr"]))
    var model: String?

    @Option(help: "Positions of each size of pass.")
    var passes = IntegerList([1, 2, 4, 8, 16, 32])

    @Option(name: .customLong("context"), help: "Positions cached before a pass.")
    var contexts = IntegerList([0])

    @Option(help: "causal: each position sees those before it; open: all see each other.")
    var kind = Kind.causal

    @Option(help: "Positions whose logits are computed: last, all or none.")
    var logits = Logits.last

    @Option(
        help: ArgumentHelp(
            "Texts in each pass, 1 to 64; --passes are positions of each.", valueName: "count"))
    var parallel = 1

    @Option(
        help: ArgumentHelp(
            """
            Time passes that verify drafts: one token of each text, and the other positions drafted by lookup, or \
            masks that make the next draft. A second model's drafts take passes like those of lookup.
            """, valueName: "lookup|masks"))
    var draft: Draft?

    @Option(help: "Timed passes of each size (default: two seconds' worth, 3 to 50).")
    var repetitions: Int?

    @Option(help: "Untimed passes of each size before the timed ones.")
    var warmUp = 1

    @Option(help: "Go on for this number of seconds, all sizes in turn.")
    var duration: Double?

    @Flag(help: "Also time every step of a pass.")
    var operations = false

    @Flag(help: "Also time every step in every layer.")
    var layers = false

    @OptionGroup(title: "Model") var modelOptions: ModelOptions
    @OptionGroup(title: "Prediction") var predicted: PredictionOptions

    @Flag(help: "Print a JSON object.")
    var json = false

    @Flag(help: "Print comma-separated values.")
    var csv = false

    @Option(
        help: "Write a page with charts to this file; implies --operations.", completion: .file())
    var html: String?

    @Option(
        help: "Write a picture of pass times above the limits to this file (SVG).",
        completion: .file())
    var plot: String?

    @Option(
        help: "Write a Chrome trace to this file, for Perfetto; implies --operations.",
        completion: .file())
    var trace: String?

    enum Kind: String, ExpressibleByArgument, CaseIterable {
        case causal, open

        var option: ProfileOptions.Kind { self == .open ? .open : .causal }
    }

    enum Logits: String, ExpressibleByArgument, CaseIterable {
        case last, all, none

        var option: ProfileOptions.Logits {
            switch self {
            case .last: .last
            case .all: .all
            case .none: .none
            }
        }
    }

    enum Draft: String, ExpressibleByArgument, CaseIterable {
        case lookup, masks

        var option: ProfileOptions.Draft { self == .masks ? .masks : .lookup }
    }

    @Option(
        parsing: .upToNextOption,
        help: ArgumentHelp(
            "Compare two profiles that --json printed; exit status 1 where the second is slower.",
            valueName: "before after"), completion: .file())
    var compare: [String] = []

    @Option(help: "Percent by which a time may grow before --compare calls it slower.")
    var tolerance = 5.0

    func validate() throws {
        guard compare.isEmpty || compare.count == 2 else {
            throw ValidationError("--compare takes two files")
        }
        guard tolerance >= 0, tolerance < 1000 else {
            throw ValidationError("--tolerance takes percent")
        }
        guard repetitions.map({ $0 > 0 }) ?? true else {
            throw ValidationError("--repetitions takes 1 or more")
        }
        guard duration.map({ $0 > 0 && $0 < 1e6 && repetitions == nil }) ?? true else {
            throw ValidationError("--duration takes seconds, and not together with --repetitions")
        }
        guard !(json && csv) else { throw ValidationError("choose one of --json and --csv") }
        guard (1...64).contains(parallel) else {
            throw ValidationError("--parallel takes 1 to 64 texts")
        }
        guard draft == nil || kind == .causal && logits == .last else {
            throw ValidationError(
                "--draft says which logits are computed: leave out --kind and --logits")
        }
        guard warmUp >= 0 else { throw ValidationError("--warm-up takes 0 or more") }
    }

    private var options: ProfileOptions {
        var options = ProfileOptions()
        options.positions = passes.values
        options.contexts = contexts.values
        (options.sequences, options.draft) = (parallel, draft?.option)
        options.kind = kind.option
        options.logits = logits.option
        options.repetitions = repetitions
        options.duration = duration
        options.warmUp = warmUp
        options.recordsOperations =
            operations || layers || html != nil || trace != nil || predicted.isAsked
        return options
    }

    func run() async throws {
        try await reportingErrors {
            guard compare.isEmpty else { return try runComparison() }
            Interruption.install()
            try predicted.check()
            let path = try model ?? DefaultModel.path()
            // Opened before the work, so that an error shows at once.
            let pages = try places(inputs: [path]).map { try $0.map { try OutputFile($0) } }
            let report = try measure(path)
            let texts = [{ report.html }, { report.plot }, { report.trace.text + "\n" }]
            for (page, text) in zip(pages, texts) {
                try page?.append(text())
                try page?.commit()
            }
            try write(report)
            if Interruption.isRequested { throw ExitCode(Interruption.status.rawValue) }
        }
    }
}

extension ProfileCommand {
    /// Where --html, --plot and --trace write, each to a file of its own.
    private func places(inputs: [String]) throws -> [OutputPlace?] {
        let options = [("--html", html), ("--plot", plot), ("--trace", trace)]
        var places: [OutputPlace?] = []
        for (option, path) in options {
            guard let path else {
                places.append(nil)
                continue
            }
            let place = try OutputPlace(path, takesStreams: true, inputs: inputs)
            if let index = places.firstIndex(where: { $0?.isSame(as: place) ?? false }) {
                throw CommandError(
                    .usage,
                    "\(options[index].0) and \(option) both write to '\(path)'; name a file for each"
                )
            }
            guard !place.isStandardOutput else {
                throw CommandError(
                    .usage,
                    "\(option) '\(path)': the report on standard output goes there too; name another file"
                )
            }
            places.append(place)
        }
        return places
    }

    private func measure(_ path: String) throws -> ProfileReport {
        let options = options
        var opening = modelOptions
        opening.context = opening.context ?? options.contextLength
        let profile = ModelProfile(
            path: path, options: options, kvEncoding: opening.kv.encoding,
            program: "tessera \(TesseraCommand.release)")
        var progress = ProgressReport("profiling")
        defer { progress.finish() }
        return try profile.run { file in
            try opening.open(
                file, logitCapacity: options.logitCapacity, sequences: options.sequences)
        } progress: { done, total in
            progress.update(done: done, total: total)
        } isCancelled: {
            Interruption.isRequested
        }
    }

    private func write(_ report: ProfileReport) throws {
        let prediction = try predicted.target(here: report)
            .map { Prediction(report, on: $0) }
        if json {
            Terminal.write(report.json(prediction: prediction).text + "\n")
        } else if csv {
            Terminal.write(report.csv)
        } else {
            let width = Terminal.outputWidth
            Terminal.write(report.text(layers: layers, width: width))
            if let prediction {
                Terminal.write(
                    "\n"
                        + prediction.text(tokensPerPass: predicted.tokensPerPass, width: width))
            }
        }
    }

    private func runComparison() throws {
        let comparison = Comparison(
            try SavedProfile(path: compare[0]), try SavedProfile(path: compare[1]),
            tolerance: tolerance / 100)
        guard !comparison.rows.isEmpty else {
            throw CommandError(.badData, "the two profiles have no size of pass in common")
        }
        Terminal.write(
            json ? comparison.json.text + "\n" : comparison.text(width: Terminal.outputWidth))
        if comparison.hasRegression { throw ExitCode(ExitStatus.failure.rawValue) }
    }
}

/// Numbers with commas between them.
struct IntegerList: ExpressibleByArgument, CustomStringConvertible {
    let values: [Int]

    init(_ values: [Int]) { self.values = values }

    init?(argument: String) {
        let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
        values = parts.compactMap { Int($0) }
        guard values.count == parts.count else { return nil }
    }

    var description: String { values.map(String.init).joined(separator: ",") }
}
