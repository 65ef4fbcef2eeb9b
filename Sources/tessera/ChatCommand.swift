internal import ArgumentParser
internal import Chat
internal import Decoding
internal import Glibc
internal import Tokenization
internal import Transformer
internal import WeightFile

struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talks with a model.",
        usage: "tessera chat [MODEL] [--system TEXT] [options]",
        discussion: """
            Each line of standard input is a message; /reset forgets the conversation, /exit ends
            it. Ctrl-C ends an answer, or the program where no answer is running.

            Examples:
              tessera chat model.tsr
              tessera chat model.tsr --system "Answer in one sentence." --temp 0.7
              printf 'My name is Ada.\\nWhat is my name?\\n' | tessera chat model.tsr
            """)

    @Argument(help: "A .tsr file.", completion: .file(extensions: ["tsr"]))
    var model: String?

    @Option(help: "The system message.")
    var system: String?

    @Option(name: [.customShort("n"), .long], help: "Most tokens of an answer.")
    var maxTokens = 1024

    @OptionGroup(title: "Drawing") var draw: DrawOptions
    @OptionGroup(title: "Blocks") var blocks: BlockOptions
    @OptionGroup(title: "Model") var modelOptions: ModelOptions

    @Flag(help: "Say on standard error how long each answer took.")
    var timings = false

    func validate() throws {
        guard maxTokens > 0 else { throw ValidationError("-n takes 1 or more") }
    }

    func run() async throws {
        try await reportingErrors {
            Interruption.install()
            let session = try open()
            defer { session.learned?.save() }
            var conversation = Conversation(
                try session.source.chatFormat(), session.decoder, system: system)
            var lines = LineReader()
            let asks = isatty(STDIN_FILENO) == 1
            while true {
                if asks { Terminal.write("> ", to: STDERR_FILENO) }
                guard let line = try lines.next() else { break }
                switch line {
                case "": continue
                case "/exit", "/quit": return
                case "/reset": conversation.reset()
                case "/help": Terminal.note("/reset forgets the conversation, /exit ends it")
                default: try answer(line, &conversation, session)
                }
            }
            if asks { Terminal.write("\n", to: STDERR_FILENO) }
        }
    }

    private func open() throws -> Session {
        let start = Clock.now
        let source = try ModelSource(path: try model ?? DefaultModel.path())
        let config = source.file.config
        let sampling = draw.options(config, chat: true)
        draw.noteIneffective(sampling)
        try blocks.check(config.blockDecoding)
        let options = modelOptions.options(
            for: source.file, logitCapacity: blocks.logitRows(config.blockDecoding))
        if modelOptions.ram != nil {
            modelOptions.noteShortContext(
                options.contextLength ?? 0, wanted: config.maxPositions, "that the model knows")
        }
        return try Session(
            source, try modelOptions.open(source.file, options), sampling: sampling,
            blocks: blocks, startedAt: start)
    }

    private func answer(
        _ text: String, _ conversation: inout Conversation, _ session: Session
    ) throws {
        let question = try conversation.ask(text, limit: maxTokens)
        var collected = ""
        let generation = session.generation(limit: maxTokens, stop: []) { _, piece in
            collected += piece
            Terminal.write(piece)
        }
        let summary = try generation.run(question.ids)
        Terminal.write("\n")
        conversation.answer(collected, summary.tokens)
        if timings { Terminal.note(summary.report(session)) }
        guard summary.stopReason == .cancelled else { return }
        // At a terminal, Ctrl-C has ended the answer; elsewhere nobody is there to go on.
        guard isatty(STDIN_FILENO) == 1, Interruption.status == .interrupted else {
            throw ExitCode(Interruption.status.rawValue)
        }
        Interruption.clear()
    }
}
