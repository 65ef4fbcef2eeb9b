internal import ArgumentParser
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

            Examples:
              tessera generate model.tsr -p "The three laws of robotics are" -n 100
              tessera generate model.tsr -f prompt.txt --temp 0.8 --top-p 0.95 --seed 1 > out.txt
              tessera generate model.tsr --chat -p "What is the capital of Japan?"
              tessera generate model.tsr -p "..." --block-size 16 --gamma 0.35 --trace
              echo "Once upon a time" | tessera generate model.tsr - --json
              tessera generate model.tsr --chat --batch questions.jsonl > answers.jsonl
            """)

    @Argument(help: "A .tsr file.")
    var model: String?

    @OptionGroup var source: PromptOptions

    @Option(name: [.customShort("n"), .long], help: "Most tokens to generate.")
    var maxTokens = 256

    @Option(name: .customLong("stop"), help: "End before this string; repeatable.")
    var stop: [String] = []

    @Flag(help: "The text is a user's message: the model's chat template is put around it.")
    var chat = false

    @Option(help: "With --chat: the system message.")
    var system: String?

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
            Answer every line of this file, a JSON string or an object with a "prompt"; prints what \
            --json does, a line each.
            """)
    var batch: String?

    @Flag(help: "Say on standard error how long it took.")
    var timings = false

    @Flag(
        help: """
            Show which pass decided which token: on standard error, or with --json and --batch as \
            "trace", with entropies.
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
            // A single "-" is the text, not the model.
            let readsInput = model == "-"
            let path = try readsInput ? DefaultModel.path() : model ?? DefaultModel.path()
            let texts =
                try batch.map(PromptOptions.batch)
                ?? [source.text(standardInput: readsInput)]
            let session = try Session(
                path: path, model: modelOptions, draw: draw, blocks: blocks,
                ignoresEnd: ignoreEnd, traced: trace)
            defer { session.learned?.save() }
            for text in texts {
                session.state.reset()
                let steps = timings ? StepTotals(session.transformer) : nil
                let start = Clock.now
                let summary = try generate(text, session)
                let elapsed = Clock.now - start
                if trace && !isJSON && !jsonl { TraceReport.write(session) }
                if timings || summary.stopReason == .cancelled {
                    Terminal.note(summary.report(session))
                }
                if let steps {
                    Terminal.note(steps.text(of: elapsed, rest: "sampling and text"))
                }
                if summary.stopReason == .cancelled {
                    throw ExitCode(Interruption.status.rawValue)
                }
            }
        }
    }

    /// Whether a JSON object stands for a text.
    private var isJSON: Bool { json || batch != nil }

    private func generate(_ text: String, _ session: Session) throws -> GenerationSummary {
        let prompt = try promptTokens(text, session)
        if echo && !isJSON && !jsonl { Terminal.write(text) }
        var collected = ""
        var endsLine = true
        let events = jsonl ? TokenEvents() : nil
        let generation = session.generation(
            limit: maxTokens, stop: stop, printsSpecials: raw
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
        let summary = try generation.run(prompt)
        if isJSON { Terminal.write(summary.json(session, text: collected).text + "\n") }
        if jsonl { TokenEvents.writeEnd(summary.json(session, text: collected)) }
        // A file gets the text byte for byte; a terminal's next line begins at its left.
        if !isJSON && !jsonl && Terminal.outputIsTTY && !endsLine { Terminal.write("\n") }
        return summary
    }

    private func promptTokens(_ text: String, _ session: Session) throws -> [Int32] {
        if chat {
            var conversation = try Conversation(session, system: system)
            return try conversation.ask(text)
        }
        let tables = session.tokenizer.tables
        return session.tokenizer.encode(
            text, specials: raw ? .parse : .asText, addBOS: tables.addsBOS)
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
    static func writeEnd(_ summary: JSONOutput) {
        guard case .object(let members) = summary else { return }
        Terminal.write(JSONOutput.object([("event", "end")] + members).text + "\n")
    }
}
