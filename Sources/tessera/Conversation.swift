internal import Decoding
internal import Kernels
internal import Tokenization
internal import Transformer
internal import WeightFile

/// A conversation and what the cache already holds of it.
struct Conversation {
    private let session: Session
    private let template: ChatTemplate
    private let start: [Message]
    private(set) var messages: [Message]
    /// Ids the model gave for each message of its own; nil for others'.
    private var given: [[Int32]?]

    init(_ session: Session, system: String?) throws {
        guard let source = session.file.chatTemplate else {
            throw CommandError(
                .badData,
                "\(session.path): the model has no chat template; "
                    + "use 'tessera generate' without --chat")
        }
        self.session = session
        template = try ChatTemplate(parsing: source)
        start = system.map { [Message(role: "system", content: $0)] } ?? []
        messages = start
        given = start.map { _ in nil }
    }

    /// Forgets all turns; the system message stays.
    mutating func reset() {
        messages = start
        given = start.map { _ in nil }
        session.state.reset()
    }

    /// Adds a user's message.
    ///
    /// - Returns: What has to be given to the decoder now. The cache keeps what it holds of the
    ///   conversation, as far as the template leaves earlier turns as they were.
    mutating func ask(_ text: String) throws -> [Int32] {
        messages.append(Message(role: "user", content: text))
        given.append(nil)
        do {
            let ids = try render()
            return keepCache(for: ids)
        } catch {
            messages.removeLast()
            given.removeLast()
            throw error
        }
    }

    /// Adds the model's answer to the last message.
    mutating func answer(_ text: String, _ tokens: [FixedToken]) {
        var ids = tokens.map(\.id)
        if let last = ids.last, session.state.stopTokens.contains(last) { ids.removeLast() }
        messages.append(Message(role: "assistant", content: text))
        given.append(ids)
    }

    private func render() throws -> [Int32] {
        let tables = session.tokenizer.tables
        func spelled(_ id: Int?) -> String {
            id.map { String(decoding: session.tokenizer.bytes(of: Int32($0)), as: UTF8.self) } ?? ""
        }
        let segments = try template.render(
            messages, bosToken: spelled(tables.bosToken), eosToken: spelled(tables.eosTokens.first))
        var ids: [Int32] = []
        var next = 0  // first message that the segments have not reached
        for segment in segments {
            // The model's own words keep its own tokens; encoding them anew might cut otherwise.
            if segment.isUserText,
                let index = messages[next...].firstIndex(where: { $0.content == segment.text })
            {
                next = index + 1
                if let own = given[index] {
                    ids += own
                    continue
                }
            }
            ids += session.tokenizer.encode([segment])
        }
        return ids
    }

    private func keepCache(for ids: [Int32]) -> [Int32] {
        let state = session.state
        var common = zip(state.history, ids).prefix { $0 == $1 }.count
        if common == ids.count { common = max(0, common - 1) }  // one token is to be computed
        let dropped = state.history.count - common
        // Beyond the window, tokens that were taken back have overwritten what lay before it.
        let isSafe =
            dropped == 0
            || (dropped <= session.transformer.batchCapacity
                && state.model.position <= session.transformer.cache.contextLength)
        guard isSafe, session.decoder.commitBlockSize == 1 || dropped == 0 else {
            state.reset()
            return ids
        }
        state.drop(last: dropped)
        return Array(ids[common...])
    }
}
