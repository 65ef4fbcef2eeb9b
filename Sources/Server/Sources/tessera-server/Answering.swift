import HTTPTypes
import Tessera

/// One request for answers: it asks the model, and sends the answers in the form that was asked for.
struct Answering: Sendable {
    let model: Model
    let asked: Asked
    let isChat: Bool
    let metrics: Metrics
    /// Each begun: those of the first prompt, then those of the next.
    private let answers: [Answer]
    private let id: String
    private let created: Int
    private let begin = ContinuousClock.now

    init(_ model: Model, _ asked: Asked, isChat: Bool, _ metrics: Metrics) throws {
        (self.model, self.asked, self.isChat, self.metrics) = (model, asked, isChat, metrics)
        created = UnixTime.now
        id = (isChat ? "chatcmpl-" : "cmpl-") + String(UInt64.random(in: 0 ... .max), radix: 36)
        guard isChat ? asked.messages != nil : asked.prompt != nil else {
            let member = isChat ? "messages" : "prompt"
            throw Refusal(.badRequest, "'\(member)' is missing", member)
        }
        guard asked.messages.map({ !$0.isEmpty }) ?? true else {
            throw Refusal(.badRequest, "'messages' is empty", "messages")
        }
        answers = Self.begin(model, asked, isChat: isChat)
        // What cannot be answered is known before a status is sent.
        if let failure = answers.lazy.compactMap(\.failure).first { throw failure }
    }

    private static func begin(_ model: Model, _ asked: Asked, isChat: Bool) -> [Answer] {
        let sampling = asked.sampling(model, answering: isChat)
        let stop = asked.stop
        if isChat {
            let messages = (asked.messages ?? []).map(\.message)
            return (0..<asked.count).map {
                model.respond(
                    to: messages, maxTokens: asked.maxTokens, stop: stop,
                    sampling: sampling.answer($0), format: asked.format, tools: asked.tools)
            }
        }
        guard case .texts(let texts) = asked.prompt else { return [] }
        return texts.flatMap { text in
            (0..<asked.count).map {
                model.complete(
                    text, maxTokens: asked.maxTokens ?? 16, stop: stop,
                    sampling: sampling.answer($0), format: asked.format)
            }
        }
    }

    /// Tells calls from text, where there are tools.
    private var reader: AnswerReader { AnswerReader(asked.tools == nil ? nil : model) }

    private func prefix(_ index: Int) -> String {
        guard asked.echo, case .texts(let texts) = asked.prompt else { return "" }
        return texts[index / asked.count]
    }

    // MARK: Whole

    /// Waits for all answers.
    func whole() async throws -> Completion {
        let parts = try await withThrowingTaskGroup(of: (Completion.Choice, Answer.Summary).self) {
            group in
            for (index, answer) in answers.enumerated() {
                group.addTask { try await choice(answer, index) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        var usage = Completion.Usage()
        for part in parts { usage.add(part.1) }
        return completion(
            parts.map(\.0).sorted { $0.index < $1.index }, usage,
            object: isChat ? "chat.completion" : "text_completion")
    }

    private func choice(
        _ answer: Answer, _ index: Int
    ) async throws -> (Completion.Choice, Answer.Summary) {
        var message = AnswerMessage(text: prefix(index))
        var logprobs = Completion.Logprobs()
        var isFirst = true
        var reader = reader
        for try await token in answer {
            if isFirst { noteFirst() }
            isFirst = false
            for part in reader.read(token.text) { message.add(part) }
            note(token, in: &logprobs)
        }
        for part in reader.finish() { message.add(part) }
        let summary = try summary(of: answer)
        var choice = Completion.Choice(
            index: index, finishReason: message.finishReason(summary.end))
        if isChat {
            choice.message = message.whole
        } else {
            choice.text = message.text
        }
        if asked.wantsLogprobs { choice.logprobs = logprobs }
        return (choice, summary)
    }

    // MARK: Streamed

    /// Sends each part as soon as it is there: first roles, then texts, then reasons, then usage.
    func stream(_ send: @escaping @Sendable (Completion) async throws -> Void) async throws {
        let summaries = try await withThrowingTaskGroup(of: Answer.Summary.self) { group in
            for (index, answer) in answers.enumerated() {
                group.addTask { try await stream(answer, index, send) }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        var usage = Completion.Usage()
        for summary in summaries { usage.add(summary) }
        guard asked.includesUsage else { return }
        try await send(part([], usage))
    }

    private func stream(
        _ answer: Answer, _ index: Int, _ send: @Sendable (Completion) async throws -> Void
    ) async throws -> Answer.Summary {
        func choice(
            _ text: String?, role: String? = nil, call: Completion.Delta.Call? = nil
        ) -> Completion.Choice {
            var choice = Completion.Choice(index: index)
            if isChat {
                choice.delta = .init(role: role, content: text, toolCalls: call.map { [$0] })
            } else {
                choice.text = text ?? ""
            }
            return choice
        }
        var message = AnswerMessage(text: "")
        var reader = reader
        func tell(_ part: AnswerReader.Part) async throws {
            let call = message.add(part)
            if case .text(let text) = part {
                try await send(self.part([choice(text)]))
            } else {
                try await send(self.part([choice(nil, call: call)]))
            }
        }
        if isChat {
            try await send(part([choice("", role: "assistant")]))
        } else if asked.echo {
            try await send(part([choice(prefix(index))]))
        }
        var isFirst = true
        var (pass, usage) = (0, ProcessUsage.now)
        for try await token in answer {
            if isFirst { noteFirst() }
            isFirst = false
            let parts = reader.read(token.text)
            if asked.wantsLogprobs || asked.includesPasses {
                // A part for each token, which has what the token completes.
                var texts = ""
                for part in parts { if case .text(let text) = part { texts += text } }
                var choice = choice(texts)
                if asked.wantsLogprobs {
                    var logprobs = Completion.Logprobs()
                    note(token, in: &logprobs)
                    choice.logprobs = logprobs
                }
                var whole = part([choice])
                if asked.includesPasses {
                    if token.pass != pass { usage = .now }
                    pass = token.pass
                    whole.tessera = .init(
                        pass: pass, memoryBytes: usage.memoryBytes, bytesRead: usage.bytesRead)
                }
                try await send(whole)
                for part in parts {
                    if case .text = part { message.add(part) } else { try await tell(part) }
                }
            } else {
                for part in parts { try await tell(part) }
            }
        }
        for part in reader.finish() { try await tell(part) }
        let summary = try summary(of: answer)
        var last = choice(nil)
        last.finishReason = message.finishReason(summary.end)
        try await send(part([last]))
        return summary
    }

    // MARK: Parts

    private func part(
        _ choices: [Completion.Choice], _ usage: Completion.Usage? = nil
    ) -> Completion {
        completion(
            choices, usage, object: isChat ? "chat.completion.chunk" : "text_completion")
    }

    private func completion(
        _ choices: [Completion.Choice], _ usage: Completion.Usage?, object: String
    ) -> Completion {
        Completion(
            id: id, object: object, created: created, model: model.name, choices: choices,
            usage: usage)
    }

    private func note(_ token: Token, in logprobs: inout Completion.Logprobs) {
        if isChat {
            logprobs.content =
                (logprobs.content ?? []) + [
                    .init(
                        token: token.text, logprob: token.logProbability,
                        bytes: model.detokenize([token.id]) ?? [])
                ]
        } else {
            logprobs.tokens = (logprobs.tokens ?? []) + [token.text]
            logprobs.tokenLogprobs = (logprobs.tokenLogprobs ?? []) + [token.logProbability]
        }
    }

    private func noteFirst() {
        metrics.firstToken(after: (ContinuousClock.now - begin) / .seconds(1))
    }

    /// What an answer took that was read to its end.
    private func summary(of answer: Answer) throws -> Answer.Summary {
        guard let summary = answer.summary else { throw CancellationError() }
        metrics.answered(summary)
        return summary
    }
}
