internal import ArgumentParser
internal import Chat
internal import Decoding
internal import Profiling
internal import Reporting
internal import Tokenization
internal import Transformer
internal import WeightFile

struct GenerateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate",
        abstract: "Continues a text.",
        usage: "tessera generate [MODEL] [-p TEXT | -f FILE | -] [-n COUNT] [options]",
        discussion: """
            Standard output is the text and nothing else. Ctrl-C ends it at a token, a second one at
            once. Without MODEL, TESSERA_MODEL or the model that comes with the program is used.

            \(DrawOptions.discussion)

            A line of --batch is plain text, a JSON string, or an object: "prompt", and if wanted "id",
            "system", "max_tokens", "temperature", "top_p", "top_k", "seed" and "stop". Each line is
            drawn with random numbers of its own: the first with --seed, the others with seeds made
            from it, which their answers name.

            Examples:
              tessera generate model.tsr -p "The three laws of robotics are" -n 100
              tessera generate model.tsr -f prompt.txt --temp 0.8 --top-p 0.95 --seed 1 > out.txt
              tessera generate model.tsr --chat -p "What is the capital of Japan?"
              tessera generate model.tsr --chat -f edit.txt --draft small.tsr --timings
              tessera generate model.tsr -p "..." --block-size 16 --gamma 0.35 --trace
              echo "Once upon a time" | tessera generate model.tsr - --json
              tessera generate model.tsr --chat --batch questions.jsonl > answers.jsonl
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

    @Flag(help: "Print the prompt too.")
    var echo = false

    @Flag(help: "Print special tokens as they are spelled, and recognize them in the prompt.")
    var raw = false

    @Flag(help: "Do not end where the model does.")
    var ignoreEnd = false

    @Flag(help: "Print one JSON object instead of the text.")
    var json = false

    @Flag(help: "Print a JSON object per token, and one at the end.")
    var jsonl = false

    @Option(
        help: """
            Answer every line of this file (- for standard input); prints what --json does, a line \
            each, or an object with an "error".
            """, completion: .file())
    var batch: String?

    @Flag(help: "Say on standard error how long it took.")
    var timings = false

    @Flag(
        help: """
            Show which pass decided which token: on standard error, or with --json and --batch as \
            "trace". 2:"at"~0.14 is the token "at", decided in the block's second pass at an entropy \
            of 0.14 nats; drafts that were not kept stand in parentheses.
            """)
    var trace = false

    func validate() throws {
        guard maxTokens >= 0 else { throw ValidationError("-n takes 0 or more") }
        guard !(json && jsonl) else { throw ValidationError("give one of --json and --jsonl") }
        guard chat || system == nil else { throw ValidationError("--system needs --chat") }
        guard batch == nil || !source.isNamed && !jsonl else {
            throw ValidationError("--batch goes without -p, -f, - and --jsonl")
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
                try answer(lines, try GenerateSetup(self, path), startedAt: start)
            } else {
                let text = try source.text(standardInput: readsInput, dropsLineEnd: true)
                try answer(text, try GenerateSetup(self, path), startedAt: start)
            }
        }
    }

    /// Continues one text.
    private func answer(_ text: String, _ setup: GenerateSetup, startedAt start: Double) throws {
        var job = try setup.job(BatchRequest(prompt: text))
        let options = try setup.transformerOptions(for: [job])
        try setup.fit(&job, context: options.contextLength ?? 0)
        let session = try setup.session(options, startedAt: start)
        defer { session.learned?.save() }
        _ = try run(job, session)
    }

    /// Continues a text for each line; a line that cannot be is reported in its place.
    private func answer(
        _ lines: [BatchRequest.Line], _ setup: GenerateSetup, startedAt start: Double
    ) throws {
        var jobs = lines.enumerated().map { index, line in
            Result { try setup.job(try line.request.get(), index: index) }
        }
        let options = try setup.transformerOptions(for: jobs.compactMap { try? $0.get() })
        jobs = jobs.map { job in
            Result {
                var job = try job.get()
                try setup.fit(&job, context: options.contextLength ?? 0)
                return job
            }
        }
        let session = try setup.session(options, startedAt: start)
        defer { session.learned?.save() }
        var failures = 0
        for (index, (line, job)) in zip(lines, jobs).enumerated() {
            let place = [("index", JSONOutput.int(index))] + (line.id.map { [("id", $0)] } ?? [])
            do {
                _ = try run(try job.get(), session, place)
            } catch let code as ExitCode {
                throw code
            } catch DecodingError.pass(let error) {
                throw error  // no later line could be answered either
            } catch {
                failures += 1
                let reason = JSONOutput.string("line \(line.number): \(error)")
                Terminal.write(JSONOutput.object(place + [("error", reason)]).text + "\n")
            }
        }
        guard failures == 0 else {
            throw CommandError(
                .badData, "\(failures) of \(lines.count) lines got an error instead of an answer")
        }
    }

    /// Generates, prints and reports.
    private func run(
        _ job: Job, _ session: Session, _ place: [(String, JSONOutput)] = []
    ) throws {
        session.state.restartTrace()
        session.draw(job.sampling)
        let steps = timings ? StepTotals(session.sequence.workspace) : nil
        let start = Clock.now
        let summary = try generate(job, session, place)
        let elapsed = Clock.now - start
        if trace && !isJSON && !jsonl { TraceReport.write(session) }
        if timings || summary.stopReason == .cancelled { Terminal.note(summary.report(session)) }
        if let steps { Terminal.note(steps.text(of: elapsed, rest: "sampling and text")) }
        if summary.stopReason == .context, place.isEmpty {
            Terminal.note(
                "tessera: the context of \(session.sequence.contextLength) positions is full; "
                    + "--keep-last goes on and forgets the oldest tokens")
        }
        if summary.stopReason == .cancelled { throw ExitCode(Interruption.status.rawValue) }
    }

    /// Whether a JSON object stands for a text.
    private var isJSON: Bool { json || batch != nil }

    private func generate(
        _ job: Job, _ session: Session, _ place: [(String, JSONOutput)]
    ) throws -> GenerationSummary {
        if echo && !isJSON && !jsonl { Terminal.write(job.text) }
        var collected = ""
        var endsLine = true
        let events = jsonl ? TokenEvents() : nil
        var generation = session.generation(
            limit: job.limit, stop: job.stop, printsSpecials: raw
        ) { token, piece in
            if isJSON { return collected += piece }
            if let events {
                collected += piece
                return events.write(token, piece)
            }
            guard !piece.isEmpty else { return }
            endsLine = piece.utf8.last == UInt8(ascii: "\n")
            Terminal.write(piece)
        }
        generation.slides = keepLast
        // Lines of a batch may begin alike: what the cache holds of this one is not computed again.
        let kept = session.state.keep(
            commonWith: job.prompt.ids, blockSize: session.decoder.commitBlockSize)
        var summary = try generation.run(Array(job.prompt.ids[kept...]))
        summary.promptTokens = job.prompt.ids.count
        let members = place + summary.members(session, text: collected, dropped: job.dropped)
        if isJSON { Terminal.write(JSONOutput.object(members).text + "\n") }
        if jsonl { TokenEvents.writeEnd(members) }
        // A file gets the text byte for byte; a terminal's next line begins at its left.
        if !isJSON && !jsonl && Terminal.outputIsTTY && !endsLine { Terminal.write("\n") }
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
