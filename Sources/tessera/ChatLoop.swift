internal import ArgumentParser
internal import TesseraChat
internal import TesseraDecoding
internal import Glibc
internal import TesseraReporting
internal import Tessera
internal import TesseraTransformer
internal import TesseraWeightFile

/// Messages and commands, one after the other, until there are no more.
struct ChatLoop {
    private var session: Session
    private var conversation: Conversation
    private let format: ChatFormat
    private var settings: ChatSettings
    private let timings: Bool
    private let reader = ChatReader()
    private let file: SessionFile?
    /// Texts of earlier processes; nil: none are used.
    var promptCache: ChatPromptCache?
    /// Lines that failed.
    private var failures = 0

    init(
        _ session: Session, system: String?, settings: ChatSettings, file: SessionFile?,
        timings: Bool
    ) throws {
        self.session = session
        self.settings = settings
        self.timings = timings
        format = try session.source.chatFormat()
        conversation = Conversation(
            format, context: session.sequence.contextLength,
            stopTokens: session.state.stopTokens, system: system)
        self.file = file
        if let (turns, restarts) = try file?.conversation(
            model: session.file.config.name, format)
        {
            conversation.replace(with: turns, restarts: restarts)
            if let system { conversation.system = system }
        }
    }

    mutating func run() throws {
        let result = Result { try talk() }
        promptCache?.save(session)
        try file?.save(
            conversation, model: session.file.config.name, seed: settings.sampling.seed,
            session.state, session.sequence)
        try result.get()
    }

    private mutating func talk() throws {
        if reader.asks {
            Terminal.note(
                "\(session.file.config.name), a context of \(session.sequence.contextLength) "
                    + "positions. /help lists commands, Ctrl-D ends.")
        }
        while let text = try reader.next() {
            let trimmed = ChatLine.trimmed(text)
            if trimmed.isEmpty { continue }
            let line = ChatLine(trimmed.hasPrefix("/") ? trimmed : text)
            if line == .exit { break }
            do {
                try obey(line)
            } catch let code as ExitCode {
                throw code
            } catch DecodingError.pass(let error) {
                throw error  // no later answer could be given either
            } catch {
                failures += 1
                Terminal.note("tessera: \(error)")
            }
        }
        // A person has read what went wrong; a script reads the status.
        if failures > 0 && !reader.asks { throw ExitCode(ExitStatus.badData.rawValue) }
    }

    private mutating func obey(_ line: ChatLine) throws {
        switch line {
        case .message(let text): try answer(text)
        case .help: Terminal.note(ChatLine.commands)
        case .system(nil): Terminal.note(conversation.system ?? "no system message")
        case .system(let text): conversation.system = text
        case .save(let path): try save(path)
        case .load(let path): try load(path)
        case .undo: takeBack()
        case .retry:
            guard let question = conversation.retry() else { return takeBack() }
            try answer(question)
        case .reset: conversation.reset()
        case .set(nil, _): Terminal.note(settings.text)
        case .set(let name?, let value): try settings.set(name, to: value)
        case .wrong(let reason): throw CommandError(.usage, reason)
        case .exit: break
        }
    }

    private mutating func answer(_ text: String) throws {
        let question = try conversation.ask(text, limit: settings.maxTokens)
        if question.leftOut > 0 {
            let plural = question.leftOut == 1 ? "question is" : "questions are"
            Terminal.note(
                "tessera: the context is full: the \(question.leftOut) oldest \(plural) left out "
                    + "from now on")
        }
        if let taken = try promptCache?.takeUp(question.ids, after: session) { session = taken }
        session.draw(settings.sampling.forSequence(conversation.restarts))
        var collected = ""
        let generation = session.generation(
            limit: settings.maxTokens, stop: [], beginsText: true
        ) { _, piece in
            collected += piece
            Terminal.write(piece)
        }
        let summary = try TerminalMode.quietly {
            try generation.run(session.decoder.rest(of: question.ids))
        }
        Terminal.write("\n")
        conversation.answer(collected, summary.tokens)
        noteEnd(summary)
        if timings { Terminal.note(summary.report(session)) }
        guard summary.stopReason == .cancelled else { return }
        // At a terminal, Ctrl-C has ended the answer; elsewhere nobody is there to go on.
        guard reader.asks, Interruption.status == .interrupted else {
            throw ExitCode(Interruption.status.rawValue)
        }
        Interruption.clear()
    }

    /// Says why an answer is not whole.
    private func noteEnd(_ summary: GenerationSummary) {
        switch summary.stopReason {
        case .length:
            Terminal.note(
                "tessera: the answer was cut at the limit of \(settings.maxTokens); -n or "
                    + "'/set max-tokens' allows more tokens")
        case .context:
            Terminal.note("tessera: the answer was cut: the context is full")
        case .endOfText, .stopString, .cancelled: break
        }
    }

    private mutating func takeBack() {
        guard let question = conversation.undo() else {
            return Terminal.note("there is no message to take back")
        }
        let start = question.prefix { $0 != "\n" }.prefix(60)
        Terminal.note("taken back: \(start)\(start.count < question.count ? "..." : "")")
    }

    private func save(_ path: String) throws {
        // Another file of that name is somebody's work.
        let isOther =
            unsafe access(path, F_OK) == 0
            && (try? ConversationFile.turns(try Input.all(path: path), model: "", format)) == nil
        guard !isOther else {
            throw CommandError(.cannotCreate, "\(path): exists, and is no saved conversation")
        }
        let json = ConversationFile.json(conversation.turns, model: session.file.config.name)
        let file = try OutputFile(OutputPlace(path, takesStreams: true))
        try file.append(json.text + "\n")
        try file.commit()
    }

    private mutating func load(_ path: String) throws {
        let bytes = try Input.all(path: path)
        do {
            conversation.replace(
                with: try ConversationFile.turns(bytes, model: session.file.config.name, format))
        } catch {
            throw CommandError(.badData, "\(path): \(error)")
        }
        let count = conversation.turns.count
        Terminal.note("\(count) message\(count == 1 ? "" : "s") read")
    }
}

/// The texts of `--prompt-cache`, for a conversation.
struct ChatPromptCache {
    let store: PromptStore
    /// Makes a session whose cache holds some tokens.
    let session: ([Int32]) throws -> Session

    func save(_ session: Session) { store.save(session.state.history, session.sequence) }

    /// The session after a beginning of the prompt from a file; nil if memory holds as much of the prompt.
    func takeUp(_ ids: [Int32], after current: Session) throws -> Session? {
        let beginning = ids.dropLast()
        let history = current.state.history.prefix(current.sequence.position)
        let held = zip(history, beginning).prefix { $0 == $1 }.count
        // Another conversation begins: this one is written over.
        if 2 * held < history.count { save(current) }
        return try store.restore(beginning, held: held, to: current.sequence)
            .map { try session(Array(ids.prefix($0))) }
    }
}
