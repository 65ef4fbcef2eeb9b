internal import ArgumentParser
internal import TesseraChat
internal import TesseraDecoding
internal import TesseraProfiling
internal import TesseraReporting
internal import Tessera
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Continues a text.",
        usage: "tessera generate [MODEL] [-p TEXT | -f FILE | -] [-n COUNT] [options]",
        discussion: """
            Standard output is the text and nothing else. Ctrl-C ends the text after a token, a second Ctrl-C at \
            once. Without MODEL, TESSERA_MODEL or the model that comes with the program is used.

            \(DrawOptions.discussion)

            A line of --batch is plain text, a JSON string, or an object: "prompt", and if wanted "id", \
            "system", "max_tokens", "temperature", "top_p", "top_k", "seed", "stop" and "json_schema". Each line is \
            drawn with random numbers of its own: the first with --seed, the others with seeds made \
            from it, which their answers name.

            Examples:
              tessera generate model.tsr -p "The three laws of robotics are" -n 100
              tessera generate model.tsr -f prompt.txt --temp 0.8 --top-p 0.95 --seed 1 > out.txt
              tessera generate model.tsr --chat -p "What is the capital of Japan?"
              tessera generate model.tsr --chat -f edit.txt --draft small.tsr --timings
              tessera generate model.tsr --chat --batch forms.jsonl --lookup-text answers.txt
              tessera generate model.tsr -p "..." --block-size 16 --gamma 0.35 --trace
              echo "Once upon a time" | tessera generate model.tsr - --json
              tessera generate model.tsr --chat --batch questions.jsonl > answers.jsonl
              tessera generate model.tsr --chat --system "$(cat rules.txt)" -f letter.txt --prompt-cache prompts
              tessera generate model.tsr -f report.txt --session report.session -n 100
              tessera generate model.tsr --session report.session -n 100
              tessera generate model.tsr -p "A name for a cat:" --temp 1 --samples 8
              tessera generate model.tsr --chat -f letter.txt --json-schema invoice.json
            """)

    @Argument(help: "A .tsr file.", completion: .file(extensions: ["tsr"]))
    var model: String?

    @OptionGroup var source: PromptOptions

    @Option(
        name: [.customShort("n"), .long], help: "Most tokens to generate.")
    var maxTokens = 256

    @Option(name: .customLong("stop"), help: "End before this string; repeatable.")
    var stop: [String] = []

    @Flag(help: "The text is a user's message: the model's chat template is put around it.")
    var chat = false

    @Option(help: "With --chat: the system message.")
    var system: String?

    @Flag(
        help: """
            Where the text does not fit the context, drop its beginning instead of refusing it, and \
            where the context is full, forget the oldest tokens instead of ending.
            """)
    var keepLast = false

    @OptionGroup(title: "Drawing") var draw: DrawOptions
    @OptionGroup(title: "Blocks") var blocks: BlockOptions
    @OptionGroup(title: "Model") var modelOptions: ModelOptions

    @OptionGroup var form: FormOptions

    @Flag(help: "Print the prompt too.")
    var echo = false

    @Flag(help: "Print special tokens as they are spelled, and recognize them in the prompt.")
    var raw = false

    @Flag(help: "Go on where the model would end the text.")
    var ignoreEnd = false

    @Flag(help: "Print one JSON object instead of the text.")
    var json = false

    @Flag(help: "Print a JSON object per token, and one at the end.")
    var jsonl = false

    @Option(
        help: """
            Answer every line of this file (- for standard input), several at a time. For each line, print what --json \
            prints, in the order of the file, or an object with an "error".
            """, completion: .file())
    var batch: String?

    @Option(
        help: ArgumentHelp(
            """
            Give this number of answers to one text, each drawn with random numbers of its own. For each answer, \
            print a line with what --json prints.
            """, valueName: "count"))
    var samples: Int?

    @Option(
        help: ArgumentHelp(
            """
            Lines of --batch, or --samples, that are answered in common passes, 1 to 64: such a pass reads \
            the weights once. Texts do not depend on it. auto takes 16, or 32 where weights are read from \
            disk, fewer where memory has no room for their caches.
            """, valueName: "count|auto"))
    var parallel = Parallel.auto

    @Option(help: ArgumentHelp(SessionFile.help, valueName: "file"), completion: .file())
    var session: String?

    @OptionGroup var promptCache: PromptCacheOption

    @Flag(help: "Say on standard error how long it took.")
    var timings = false

    @Flag(
        help: """
            Show which pass decided which token: on standard error, or where JSON is printed as \
            "trace". 2:"at"~0.14 is the token "at", decided in the block's second pass at an entropy \
            of 0.14 nats; drafts that were not kept stand in parentheses.
            """)
    var trace = false

    func validate() throws {
        guard maxTokens >= 0 else { throw ValidationError("-n takes 0 or more") }
        guard !(json && jsonl) else { throw ValidationError("give one of --json and --jsonl") }
        guard chat || system == nil else { throw ValidationError("--system needs --chat") }
        guard batch == nil || !source.isNamed && !jsonl && samples == nil else {
            throw ValidationError("--batch cannot be combined with -p, -f, -, --jsonl or --samples")
        }
        guard session == nil || batch == nil && samples == nil && !chat && !keepLast else {
            throw ValidationError(
                "--session cannot be combined with --batch, --samples, --chat or --keep-last; "
                    + "'tessera chat' takes it")
        }
        guard promptCache.folder == nil || session == nil && !keepLast else {
            throw ValidationError("--prompt-cache cannot be combined with --session or --keep-last")
        }
        guard samples.map({ (1...1 << 16).contains($0) }) ?? true else {
            throw ValidationError("--samples takes 1 to 65536")
        }
        guard samples == nil || !jsonl else {
            throw ValidationError("--samples cannot be combined with --jsonl")
        }
    }

    func run() async throws {
        try await reportingErrors {
            Interruption.install()
            let start = Clock.now
            // A single "-" is the text, not the model.
            let readsInput = model == "-"
            let path = try readsInput ? DefaultModel.path() : model ?? DefaultModel.path()
            if let batch {
                let lines = BatchRequest.lines(try Input.all(pathOrInput: batch))
                let setup = try GenerateSetup(self, path)
                return try BatchAnswers(command: self, setup: setup, lines: lines)
                    .run(startedAt: start)
            }
            if let session {
                let file = try SessionFile(session)
                let isNamed = source.isNamed || readsInput || file.saved == nil
                let text =
                    isNamed ? try source.text(standardInput: readsInput, dropsLineEnd: true) : ""
                return try answer(
                    text, try GenerateSetup(self, path), file: file, startedAt: start)
            }
            let text = try source.text(standardInput: readsInput, dropsLineEnd: true)
            let setup = try GenerateSetup(self, path)
            guard let samples else { return try answer(text, setup, startedAt: start) }
            let request = BatchRequest(prompt: text)
            _ = try setup.job(request)  // an error of all of them is one
            let line = BatchRequest.Line(number: 1, request: .success(request))
            try BatchAnswers(
                command: self, setup: setup, lines: Array(repeating: line, count: samples)
            ).run(startedAt: start)
        }
    }

    /// Continues one text.
    private func answer(
        _ text: String, _ setup: GenerateSetup, file: SessionFile? = nil, startedAt start: Double
    ) throws {
        var job =
            try file.map { try setup.job(text, after: $0) }
            ?? setup.job(BatchRequest(prompt: text))
        let options = try setup.modelOptions(for: job)
        setup.noteShortContext(options, for: [job])
        try setup.fit(&job, context: options.contextLength ?? 0)
        let sequence = try TokenSequence(Workspace(setup.open(options)))
        var cached = try file?.restore(sequence) ?? []
        let store = promptCache.store(for: sequence)
        if let store, let count = store.restore(job.prompt.ids.dropLast(), held: 0, to: sequence) {
            cached = Array(job.prompt.ids.prefix(count))
            job.held = count
        }
        let session = try setup.session(sequence, startedAt: start, cached: cached)
        job.prompt.ids.removeFirst(cached.count)
        let result = Result { try run(job, session) }
        if !session.state.history.isEmpty { try file?.save(session.state, sequence) }
        store?.save(session.state.history, sequence)
        try result.get()
    }

    /// Generates, prints and reports.
    private func run(_ job: Job, _ session: Session) throws {
        session.draw(job.sampling)
        let steps = timings ? StepTotals(session.sequence.workspace) : nil
        let start = Clock.now
        let summary = try generate(job, session)
        let elapsed = Clock.now - start
        if trace && !json && !jsonl { TraceReport.write(session) }
        if timings || summary.stopReason == .cancelled { Terminal.note(summary.report(session)) }
        if let steps { Terminal.note(steps.text(of: elapsed, rest: "sampling and text")) }
        if summary.stopReason == .context {
            Terminal.note(
                "tessera: the context of \(session.sequence.contextLength) positions is full; "
                    + "--keep-last goes on and forgets the oldest tokens")
        }
        if summary.stopReason == .cancelled { throw ExitCode(Interruption.status.rawValue) }
    }

    private func generate(_ job: Job, _ session: Session) throws -> GenerationSummary {
        if echo && !json && !jsonl { Terminal.write(job.text) }
        var collected = ""
        var endsLine = true
        let events = jsonl ? TokenEvents() : nil
        var generation = session.generation(
            limit: job.limit, stop: job.stop, grammar: job.grammar, printsSpecials: raw,
            beginsText: chat
        ) { token, piece in
            if json { return collected += piece }
            if let events {
                collected += piece
                return events.write(token, piece)
            }
            guard !piece.isEmpty else { return }
            endsLine = piece.utf8.last == UInt8(ascii: "\n")
            Terminal.write(piece)
        }
        generation.slides = keepLast
        var summary = try generation.run(job.prompt.ids)
        summary.promptTokens += job.held
        let members = summary.members(session, text: collected, dropped: job.dropped)
        if json { Terminal.write(JSONOutput.object(members).text + "\n") }
        if jsonl { TokenEvents.writeEnd(members) }
        // A file gets the text byte for byte; a terminal's next line begins at its left.
        if !json && !jsonl && Terminal.outputIsTTY && !endsLine { Terminal.write("\n") }
        return summary
    }
}

/// The stream of `--jsonl`.
struct TokenEvents {
    private let start = Clock.now

    func write(_ token: FixedToken?, _ text: String) {
        var members: [(String, JSONOutput)] = [("schema_version", 1), ("event", "token")]
        if let token {
            members += [
                ("id", .int(Int(token.id))), ("text", .string(text)),
                ("logprob", .number(Double(token.logProbability))), ("pass", .int(token.pass)),
            ]
        } else {
            members += [("id", .null), ("text", .string(text))]
        }
        members.append(("t_ns", .int(Int((Clock.now - start) * 1e9))))
        Terminal.write(JSONOutput.object(members).text + "\n")
    }

    /// The last line: what `--json` prints, as an event.
    static func writeEnd(_ members: [(String, JSONOutput)]) {
        Terminal.write(JSONOutput.object([("event", "end")] + members).text + "\n")
    }
}
