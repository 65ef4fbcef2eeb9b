internal import TesseraChat
internal import TesseraDecoding
internal import Glibc
internal import TesseraReporting
internal import Tessera
internal import TesseraTransformer
internal import TesseraWeightFile

/// The file of `--session`: a text or a conversation with its cache, which a later run continues.
struct SessionFile {
    static let help = """
        Go on with the text of this file, if the file exists, and write it again at the end: what was read \
        is not computed again. It belongs to the model that it was made with.
        """

    private let path: String
    /// The content of the file; nil if the file does not exist yet.
    let saved: SavedText?

    /// - Throws: Where the file is not a session, or damaged.
    init(_ path: String) throws {
        self.path = path
        saved = unsafe access(path, F_OK) == 0 ? try SavedText(path: path) : nil
    }

    /// Tokens of the text so far.
    var tokens: [Int32] { saved?.content.tokens ?? [] }

    /// Takes over the saved cache.
    ///
    /// - Returns: The tokens that the sequence holds now.
    func restore(_ sequence: TokenSequence) throws -> [Int32] {
        guard let saved else { return [] }
        try sequence.restore(saved, path: path)
        return Array(saved.content.tokens[..<saved.content.committed])
    }

    /// The options of a run that continues the file: with its seed, unless the user named one.
    func drawing(_ options: SamplingOptions, hasSeed: Bool) -> SamplingOptions {
        guard let saved, !hasSeed else { return options }
        var options = options
        options.seed = saved.content.seed
        return options
    }

    /// The saved conversation; nil if there is none.
    ///
    /// - Throws: Where the file holds another text.
    func conversation(
        model: String, _ format: ChatFormat
    ) throws -> (turns: [Turn], restarts: Int)? {
        guard let saved else { return nil }
        guard !saved.content.conversation.isEmpty else {
            throw CommandError(
                .badData,
                "\(path): holds a text and no conversation; go on with 'tessera generate --session'"
            )
        }
        do {
            let turns = try ConversationFile.turns(
                saved.content.conversation, model: model, format)
            return (turns, saved.content.restarts)
        } catch {
            throw CommandError(.badData, "\(path): \(error)")
        }
    }

    /// Refuses a conversation where a text should be continued.
    func checkIsText() throws {
        guard saved?.content.conversation.isEmpty ?? true else {
            throw CommandError(
                .badData,
                "\(path): holds a conversation; go on with 'tessera chat --session'")
        }
    }

    /// Writes the file anew.
    func save(_ state: DecodingState, _ sequence: TokenSequence) throws {
        try sequence.save(state.history, seed: state.sampler.options.seed, to: path)
    }

    /// The same for a conversation.
    ///
    /// - Parameter seed: Before it was changed by `conversation.restarts`.
    func save(
        _ conversation: Conversation, model: String, seed: UInt64, _ state: DecodingState,
        _ sequence: TokenSequence
    ) throws {
        let json = ConversationFile.json(conversation.turns, model: model)
        try sequence.save(
            state.history, seed: seed, restarts: conversation.restarts,
            conversation: Array((json.text + "\n").utf8), to: path)
    }
}
