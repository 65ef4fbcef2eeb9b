internal import Chat
internal import ChatTemplates
internal import Decoding
internal import Tokenization
internal import Transformer
internal import WeightFile

/// One text to continue, as tokens.
struct Job {
    /// As the user gave it.
    var text: String
    var prompt: Prompt
    /// Most tokens to generate.
    var limit: Int
    var sampling: SamplingOptions
    var stop: [String]
    /// Tokens of the prompt that were left out.
    var dropped = 0
}

/// Makes jobs of what users ask of `generate`, and a session that does them.
struct GenerateSetup {
    private let command: GenerateCommand
    private let source: ModelSource
    private let format: ChatFormat?
    private let sampling: SamplingOptions
    private let drafter: DraftModel?

    init(_ command: GenerateCommand, _ path: String) throws {
        self.command = command
        source = try ModelSource(path: path)
        format = command.chat ? try source.chatFormat() : nil
        sampling = command.draw.options(source.file.config, chat: command.chat)
        command.draw.noteIneffective(sampling)
        try command.blocks.check(source.file.config.blockDecoding)
        drafter = try command.blocks.draftModel(for: source)
    }

    /// - Parameter index: Of several that are asked for together.
    func job(_ request: BatchRequest, index: Int = 0) throws -> Job {
        let prompt = try prompt(request)
        guard !prompt.ids.isEmpty else { throw DecodingError.emptyPrompt }
        return Job(
            text: request.prompt, prompt: prompt,
            // Sums with a limit that nobody reaches are not to overflow.
            limit: min(request.maxTokens ?? command.maxTokens, 1 << 40),
            sampling: request.drawing(sampling.forSequence(index)),
            stop: request.stop ?? command.stop)
    }

    private func prompt(_ request: BatchRequest) throws -> Prompt {
        let system = request.system ?? command.system
        if let format {
            let messages =
                (system.map { [Message(role: "system", content: $0)] } ?? [])
                + [Message(role: "user", content: request.prompt)]
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

    func transformerOptions(for jobs: [Job]) throws -> Model.Options {
        let config = source.file.config
        let needed = jobs.map { $0.prompt.ids.count + $0.limit }.max() ?? 0
        let options = try command.modelOptions.options(
            for: source.file, logitCapacity: command.blocks.logitRows(config.blockDecoding),
            need: .positions(needed), drafter: drafter)
        command.modelOptions.noteShortContext(
            options.contextLength ?? 0, wanted: min(needed, config.maxPositions),
            "that the prompt and -n may take")
        return options
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

    func session(_ options: Model.Options, startedAt start: Double) throws -> Session {
        try Session(
            source, try command.modelOptions.open(source.file, options), sampling: sampling,
            blocks: command.blocks, drafter: drafter, startedAt: start,
            ignoresEnd: command.ignoreEnd,
            traced: command.trace)
    }
}
