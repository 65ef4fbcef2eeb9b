internal import ArgumentParser
internal import TesseraChat
internal import TesseraDecoding
internal import Glibc
internal import Tessera
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talks with a model.",
        usage: "tessera chat [MODEL] [--system TEXT] [options]",
        discussion: """
            Each line of standard input is a message; a line that ends in \\ goes on in the next one. At \
            a terminal, lines are edited and remembered where libedit is installed, and several pasted \
            lines are one message. Ctrl-C ends an answer or clears a line, and a second Ctrl-C ends \
            the program. /help lists commands, such as /undo, /retry, /save FILE and /set.

            When the conversation no longer fits the context, its oldest questions are left out, and \
            standard error says so. The system message stays. After /reset and /retry other random \
            numbers are drawn, made from the seed and their count.

            \(DrawOptions.discussion)

            Examples:
              tessera chat model.tsr
              tessera chat model.tsr --system "Answer in one sentence." --temp 0.7
              tessera chat model.tsr --session talk.session
              printf 'My name is Ada.\\nWhat is my name?\\n' | tessera chat model.tsr
            """)

    @Argument(help: "A .tsr file.", completion: .file(extensions: ["tsr"]))
    var model: String?

    @Option(help: "The system message.")
    var system: String?

    @Option(
        name: [.customShort("n"), .long], help: "Most tokens of an answer.")
    var maxTokens = 1024

    @OptionGroup(title: "Drawing") var draw: DrawOptions
    @OptionGroup(title: "Blocks") var blocks: BlockOptions
    @OptionGroup(title: "Model") var modelOptions: ModelOptions

    @Option(help: ArgumentHelp(SessionFile.help, valueName: "file"), completion: .file())
    var session: String?

    @OptionGroup var promptCache: PromptCacheOption

    @Flag(help: "Say on standard error how long each answer took.")
    var timings = false

    func validate() throws {
        guard maxTokens > 0 else { throw ValidationError("-n takes 1 or more") }
        guard promptCache.folder == nil || session == nil else {
            throw ValidationError("--prompt-cache cannot be combined with --session")
        }
    }

    func run() async throws {
        try await reportingErrors {
            Interruption.install()
            TerminalMode.install()
            let file = try session.map { try SessionFile($0) }
            let opened = try open(file)
            let session = try opened.session(try file?.restore(opened.sequence) ?? [])
            var chat = try ChatLoop(
                session, system: system,
                settings: ChatSettings(
                    sampling: session.state.sampler.options, maxTokens: maxTokens),
                file: file, timings: timings)
            if let store = promptCache.store(for: opened.sequence) {
                chat.promptCache = ChatPromptCache(store: store, session: opened.session)
            }
            try chat.run()
        }
    }

    /// What a conversation is computed in, and how a session is made whose cache holds some tokens.
    private func open(
        _ saved: SessionFile?
    ) throws -> (sequence: TokenSequence, session: ([Int32]) throws -> Session) {
        let start = Clock.now
        if model == nil, !DefaultModel.isNamed { Terminal.note(DefaultModel.description) }
        let source = try ModelSource(path: try model ?? DefaultModel.path())
        let config = source.file.config
        var sampling = draw.options(config, chat: true)
        if let saved { sampling = saved.drawing(sampling, hasSeed: draw.seed != nil) }
        draw.noteIneffective(sampling)
        try blocks.check(config.blockDecoding)
        let drafting = try blocks.drafting(for: source)
        let drafter = try blocks.draftModel(for: source.file)
        let options = try modelOptions.options(
            for: source.file, drafting.engineOptions(config.blockDecoding),
            need: .conversation, drafter: drafter)
        if modelOptions.ram != nil {
            modelOptions.noteShortContext(
                options.contextLength ?? 0, wanted: config.maxPositions, "that the model knows")
        }
        let sequence = try TokenSequence(Workspace(modelOptions.open(source.file, options)))
        return (
            sequence,
            { cached in
                try Session(
                    source, sequence, sampling: sampling, drafting: drafting, drafter: drafter,
                    startedAt: start, cached: cached)
            }
        )
    }
}
