internal import Chat
internal import ChatTemplates
internal import Decoding
internal import Residency
internal import Tokenization
internal import Transformer
internal import WeightFile

/// Everything that computes with one model, a pass at a time, on a thread of its own: a pass may take
/// seconds, and none of the threads that run a program's tasks is to wait for it.
actor Engine {
    private nonisolated let queue = SerialQueue()
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe queue.asUnownedSerialExecutor()
    }

    private var opened: Opened?
    private var talks: [Int: Talk] = [:]
    private var nextTalk = 0
    private var isPassing = false

    private struct Opened {
        let source: ModelSource
        let workspace: Workspace
        let scheduler: Scheduler
    }

    /// One conversation.
    private final class Talk {
        var conversation: Conversation
        let text: DecodedText
        let sampling: SamplingOptions
        var isAnswering = false

        init(_ conversation: Conversation, _ text: DecodedText, _ sampling: SamplingOptions) {
            (self.conversation, self.text, self.sampling) = (conversation, text, sampling)
        }
    }

    /// What users of a model see of it.
    struct Facts: Sendable {
        var name: String
        var contextLength: Int
    }

    func open(_ path: String, _ options: Model.Options) throws(ModelError) -> Facts {
        do {
            let source = try ModelSource(path: path)
            let workspace = try Workspace(
                Transformer.Model(source.file, options: options.planned(for: source.file)))
            opened = Opened(
                source: source, workspace: workspace, scheduler: Scheduler(workspace))
            return Facts(
                name: source.file.config.name, contextLength: workspace.model.contextLength)
        } catch {
            throw ModelError(error)
        }
    }

    // MARK: Conversations

    func begin(system: String?, _ sampling: Sampling?) throws(ModelError) -> Int {
        do {
            let (text, sampling) = try text(sampling, chat: true)
            let conversation = Conversation(
                try opened!.source.chatFormat(), text.decoder, system: system)
            nextTalk += 1
            talks[nextTalk] = Talk(conversation, text, sampling)
            return nextTalk
        } catch {
            throw ModelError(error)
        }
    }

    func end(_ id: Int) { talks[id] = nil }

    func messages(_ id: Int) -> [Message] {
        talks[id]?.conversation.turns.map {
            Message(role: $0.message.role, content: $0.message.content)
        } ?? []
    }

    func undo(_ id: Int) throws(ModelError) -> String? {
        try idle(id).conversation.undo()
    }

    func reset(_ id: Int) throws(ModelError) { try idle(id).conversation.reset() }

    /// A conversation that nothing is being added to.
    private func idle(_ id: Int) throws(ModelError) -> Talk {
        guard let talk = talks[id], !talk.isAnswering else {
            throw ModelError(.busy, "the session is answering; read its answer to the end first")
        }
        return talk
    }

    func respond(
        _ id: Int, to message: String, _ request: AnswerRequest
    ) {
        do {
            let talk = try idle(id)
            let question = try talk.conversation.ask(message, limit: request.maxTokens)
            do {
                try start(
                    talk.text, question.ids, request, beginsText: true,
                    talk.sampling.forSequence(talk.conversation.restarts)
                ) { text, tokens in
                    talk.conversation.answer(text, tokens)
                    talk.isAnswering = false
                }
                talk.isAnswering = true
            } catch {
                talk.conversation.answer("", [])
                throw error
            }
        } catch {
            request.finish(throwing: ModelError(error))
        }
    }

    // MARK: Texts

    func complete(_ prompt: String, _ sampling: Sampling?, _ request: AnswerRequest) {
        do {
            let (text, sampling) = try text(sampling, chat: false)
            let tokenizer = opened!.source.tokenizer
            let (ids, _) = tokenizer.encodeOnceBegun(
                prompt, specials: .asText, addBOS: tokenizer.tables.addsBOS)
            try start(text, ids, request, beginsText: false, sampling) { _, _ in
                // The text's cache is held until here.
                _ = text
            }
        } catch {
            request.finish(throwing: ModelError(error))
        }
    }

    /// A sequence of its own and what decodes it.
    private func text(
        _ sampling: Sampling?, chat: Bool
    ) throws -> (DecodedText, SamplingOptions) {
        guard let opened else { preconditionFailure("the model is not open") }
        var options = SamplingOptions(for: opened.source.file.config, chat: chat)
        options.seed = .random(in: 0...UInt64(UInt32.max))
        if let sampling { options = try sampling.options() }
        let sequence = try TokenSequence(opened.workspace)
        return (try DecodedText(opened.source, sequence, sampling: options), options)
    }

    /// Lets a generation take part in passes from now on.
    ///
    /// - Parameter finished: Called once, with the text and the tokens that there are by then.
    private func start(
        _ text: DecodedText, _ ids: [Int32], _ request: AnswerRequest, beginsText: Bool,
        _ sampling: SamplingOptions,
        finished: @escaping (String, [FixedToken]) -> Void
    ) throws {
        guard let opened else { preconditionFailure("the model is not open") }
        text.state.sampler = text.state.sampler.with(sampling)
        var answer = ""
        let generation = Generation(
            text.decoder, tokenizer: opened.source.tokenizer, limit: request.maxTokens,
            stopStrings: request.stop, beginsText: beginsText,
            isCancelled: { request.isCancelled },
            output: { token, piece in
                answer += piece
                guard let token else { return }
                request.send(
                    Token(id: Int(token.id), text: piece, logProbability: token.logProbability))
            })
        let run = try generation.start(ids)
        opened.scheduler.add(run, text.sequence) { result in
            finished(answer, run.summary.tokens)
            switch result {
            case .success(let summary): request.finish(Answer.End(summary.stopReason))
            case .failure(let error): request.finish(throwing: ModelError(error))
            }
        }
        guard !isPassing else { return }
        isPassing = true
        Task { await self.pass() }
    }

    /// Makes passes until no generation wants another.
    private func pass() async {
        guard let scheduler = opened?.scheduler else { return }
        while scheduler.count > 0 {
            // A failure has reached every generation.
            try? scheduler.pass()
            await Task.yield()
        }
        isPassing = false
    }
}
