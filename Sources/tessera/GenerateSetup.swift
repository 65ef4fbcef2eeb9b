internal import TesseraChat
internal import TesseraChatTemplates
internal import TesseraDecoding
internal import TesseraGrammars
internal import TesseraResidency
internal import Tessera
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

/// One text to continue, as tokens.
struct Job {
    /// As the user gave it.
    var text: String
    var prompt: Prompt
    /// Most tokens to generate.
    var limit: Int
    var sampling: SamplingOptions
    var stop: [String]
    /// The grammar that the text must follow; nil: none.
    var grammar: TokenGrammar?
    /// Tokens of the prompt that were left out.
    var dropped = 0
    /// Tokens of the prompt that the prompt cache held; they are not in it any more.
    var held = 0
}

/// Makes jobs from the options of `generate`, and sessions that run them.
struct GenerateSetup {
    private let command: GenerateCommand
    private let source: ModelSource
    private let format: ChatFormat?
    private let sampling: SamplingOptions
    let drafting: Drafting
    private let drafter: DraftModel?
    private let grammars: TokenGrammars
    /// Grammar of all texts that have none of their own.
    private let grammar: TokenGrammar?

    init(_ command: GenerateCommand, _ path: String) throws {
        self.command = command
        source = try ModelSource(path: path)
        format = command.chat ? try source.chatFormat() : nil
        sampling = command.draw.options(source.file.config, chat: command.chat)
        command.draw.noteIneffective(sampling)
        try command.blocks.check(source.file.config.blockDecoding)
        drafting = try command.blocks.drafting(for: source)
        drafter = try command.blocks.draftModel(for: source.file)
        grammars = TokenGrammars(source, ignoresEnd: command.ignoreEnd)
        grammar = try command.form.read().map { [grammars] in try grammars.make($0) }
    }

    /// - Parameter index: Index of the request among several that are asked for together.
    func job(_ request: BatchRequest, index: Int = 0) throws -> Job {
        let prompt = try prompt(request)
        guard !prompt.ids.isEmpty else { throw DecodingError.emptyPrompt }
        return Job(
            text: request.prompt, prompt: prompt,
            // Sums with a limit that nobody reaches must not overflow.
            limit: min(request.maxTokens ?? command.maxTokens, 1 << 40),
            sampling: request.drawing(sampling.forSequence(index)),
            stop: request.stop ?? command.stop,
            grammar: try request.grammar.map { try grammars.make($0) } ?? grammar)
    }

    /// A text that goes on after a saved one.
    ///
    /// - Parameter text: What is added; may be empty.
    func job(_ text: String, after file: SessionFile) throws -> Job {
        try file.checkIsText()
        var added = Prompt(ids: [], words: 0..<0)
        if !text.isEmpty || file.saved == nil { added = try job(BatchRequest(prompt: text)).prompt }
        // A text begins once.
        if file.saved != nil { added.ids.removeFirst(added.words.lowerBound) }
        let ids = file.tokens + added.ids
        return Job(
            text: text, prompt: Prompt(ids: ids, words: file.tokens.count..<ids.count),
            limit: min(command.maxTokens, 1 << 40),
            sampling: file.drawing(sampling, hasSeed: command.draw.seed != nil),
            stop: command.stop, grammar: grammar)
    }

    private func prompt(_ request: BatchRequest) throws -> Prompt {
        let system = request.system ?? command.system
        if let format {
            let messages =
                (system.map { [TesseraChatTemplates.Message(role: "system", content: $0)] } ?? [])
                + [TesseraChatTemplates.Message(role: "user", content: request.prompt)]
            return try format.prompt(messages.map { Turn($0) })
        }
        guard system == nil else {
            throw CommandError(.usage, "a \"system\" message needs --chat")
        }
        let tokenizer = source.tokenizer
        let (ids, hasOwn) = tokenizer.encodeOnceBegun(
            request.prompt, specials: command.raw ? .parse : .asText,
            addBOS: tokenizer.tables.addsBOS)
        if hasOwn { Terminal.note(Self.bosNote) }
        let isBegun = tokenizer.tables.bosToken.map { ids.first == Int32($0) } ?? false
        return Prompt(ids: ids, words: (isBegun ? 1 : 0)..<ids.count)
    }

    static let bosNote =
        "tessera: the text begins with the beginning-of-sequence token itself; no second one is added"

    /// How the model is to be opened for one text.
    func modelOptions(for job: Job) throws -> Model.Options {
        try options(
            drafting.engineOptions(source.file.config.blockDecoding),
            needed: job.prompt.ids.count + job.limit)
    }

    /// How the model is to be opened for several texts, and how many of them at a time.
    func batchPlan(for jobs: [Job]) throws -> BatchPlan {
        let asked: Int? = if case .fixed(let count) = command.parallel { count } else { nil }
        return try BatchPlan(
            source.file, needs: jobs.map { $0.prompt.ids.count + $0.limit }, asked: asked,
            drafting
        ) { base, needed in try options(base, needed: needed) }
    }

    private func options(_ base: Model.Options, needed: Int) throws -> Model.Options {
        var base = base
        base.slides = command.keepLast
        return try command.modelOptions.options(
            for: source.file, base, need: .positions(needed), drafter: drafter)
    }

    /// Notes where memory has less room than texts may need.
    func noteShortContext(_ options: Model.Options, for jobs: [Job]) {
        let needed = jobs.map { $0.prompt.ids.count + $0.limit }.max() ?? 0
        command.modelOptions.noteShortContext(
            options.contextLength ?? 0, wanted: min(needed, source.file.config.maxPositions),
            "that the prompt and -n may take")
    }

    /// Refuses a prompt that leaves no position of the context for a token, or drops its beginning.
    func fit(_ job: inout Job, context: Int) throws {
        let count = job.prompt.ids.count
        guard count + min(1, job.limit) > context else { return }
        if command.keepLast {
            job.dropped = job.prompt.keepLast(in: context, room: min(job.limit, context / 2))
        }
        guard job.prompt.ids.count + min(1, job.limit) <= context else {
            throw CommandError(
                .badData,
                command.modelOptions.tooLong(
                    count, context: context, maximum: source.file.config.maxPositions))
        }
        Terminal.note(
            "tessera: \(job.dropped) of the prompt's \(count) tokens were dropped from its beginning"
        )
    }

    /// Opens the model.
    func open(_ options: Model.Options) throws -> Model {
        try command.modelOptions.open(source.file, options)
    }

    /// Loads the drafting model, before texts begin that copy the caches of others.
    func prepareDrafter(nextTo workspace: Workspace) throws {
        try drafter?.prepare(nextTo: workspace)
    }

    /// - Parameters:
    ///   - sampling: Instead of the command's.
    ///   - cached: Tokens that the sequence has committed already.
    ///   - planner: The planner of all texts that share passes.
    func session(
        _ sequence: TokenSequence, sampling: SamplingOptions? = nil, startedAt start: Double,
        cached: [Int32] = [], planner: Planner? = nil
    ) throws -> Session {
        try Session(
            source, sequence, sampling: sampling ?? self.sampling, drafting: drafting,
            drafter: drafter, planner: planner, startedAt: start,
            ignoresEnd: command.ignoreEnd, traced: command.trace, cached: cached)
    }
}
