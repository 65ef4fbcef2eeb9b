internal import TesseraChat
internal import TesseraChatTemplates
internal import TesseraDecoding
internal import TesseraTokenization
internal import TesseraWeightFile

/// A language model that is open on this machine: its weights, and the threads that compute with them.
///
/// ```swift
/// let model = try await Model.load("model.tsr")
/// let session = try Session(model, system: "Answer in one sentence.")
/// for try await token in session.respond(to: "What is a tessera?") {
///     print(token.text, terminator: "")
/// }
/// ```
///
/// Sessions share the weights. Answers that are asked for at the same time are computed in common passes,
/// which read the weights once; no answer depends on which others there are.
public final class Model: Sendable {
    /// The name in the file, such as "SmolLM2 135M Instruct".
    public var name: String { source.file.config.name }
    /// The file.
    public var path: String { source.path }
    /// Positions of a context: instructions, questions and answers together.
    public let contextLength: Int
    let source: ModelSource
    let engine: Engine

    private init(_ source: ModelSource, _ engine: Engine, contextLength: Int) {
        (self.source, self.engine, self.contextLength) = (source, engine, contextLength)
    }

    /// Opens a `.tsr` file and loads as many of its weights as memory has room for; others are read from
    /// the file in each pass. `tessera quantize` makes such files.
    ///
    /// Takes from milliseconds to minutes, as fast as the file can be read.
    ///
    /// - Parameters:
    ///   - path: A `.tsr` file.
    ///   - options: How the model runs.
    ///   - note: Called with one line for problems that are no errors, such as a full disk.
    /// - Throws: ``ModelError`` where the file is not there or damaged, or where it does not run with
    ///   `options` on this machine.
    public static func load(
        _ path: String, options: Options = Options(),
        note: @escaping @Sendable (String) -> Void = { _ in }
    ) async throws(ModelError) -> Model {
        try options.check()
        let source: ModelSource
        do {
            source = try ModelSource(path: path, chatTemplate: options.chatTemplate)
        } catch {
            throw ModelError(error)
        }
        let engine = Engine(source, note: note)
        return Model(source, engine, contextLength: try await engine.load(options))
    }

    /// How a model is run.
    public struct Options: Sendable, Equatable {
        /// Positions of a context; by default as many as the model knows and memory has room for.
        public var contextLength: Int?
        /// Bytes that this process may take; by default the memory that the machine and its control groups leave.
        /// Weights beyond it are read from disk in each pass.
        public var memory: Int?
        /// Threads that compute; by default the processors that this process may use.
        public var threads: Int?
        /// Numbers of the key/value cache.
        public var cache = Cache.int8
        /// Where drafts come from. Drafts are verified, so no answer depends on it. Models that were published to fill
        /// blocks of masks fill them in their own way.
        public var drafts = Drafts.auto
        /// Text that answers may repeat, such as earlier outputs: drafts are looked up there too, unless `drafts` is
        /// off. Its last 262,144 tokens count, and take some 60 bytes each.
        public var lookupText: String?
        /// Answers that are computed at a time, 1 to 64; others wait. Memory for their caches is planned
        /// for.
        public var answers = 1
        /// Where texts with their caches are kept for later processes; nil: nowhere.
        public var promptCache: PromptCache?
        /// A chat template in place of the file's own.
        public var chatTemplate: String?

        /// Sources of guesses.
        public enum Drafts: Sendable, Equatable {
            /// The model's own guesses where it was trained with a mask token, else what followed the same
            /// words earlier.
            case auto
            /// What followed the same words earlier.
            case lookup
            /// A second `.tsr` file at this path: a small model with the same vocabulary, or a block drafter that was made
            /// for the model. Looked-up drafts are used where they promise more.
            case model(String)
            /// One token per pass.
            case off
        }

        /// A folder that keeps the beginnings of prompts. A later prompt that begins alike, in any process or
        /// conversation, does not compute its beginning again.
        public struct PromptCache: Sendable, Equatable {
            public var folder: String
            /// Most bytes of all its files: the files that were not used for the longest time are removed first.
            public var limit: Int

            public init(folder: String, limit: Int = 4 << 30) {
                (self.folder, self.limit) = (folder, limit)
            }

            /// In the user's cache folder; nil if there is none.
            public static var standard: PromptCache? {
                CacheFile.folder().map { PromptCache(folder: $0 + "/prompts") }
            }
        }

        /// How keys and values are stored. Fewer bits take less memory and are less exact.
        public enum Cache: Sendable {
            case int4, int8, float16, float32
        }

        public init() {}

        func check() throws(ModelError) {
            guard (1...64).contains(answers) else {
                throw ModelError(.badOption, "\(answers) answers at a time; choose 1 to 64")
            }
            guard contextLength.map({ (8...1 << 24).contains($0) }) ?? true else {
                throw ModelError(
                    .badOption,
                    "a context of \(contextLength ?? 0) positions; choose 8 to \(1 << 24)")
            }
            guard threads.map({ (1...1024).contains($0) }) ?? true else {
                throw ModelError(.badOption, "\(threads ?? 0) threads; choose 1 to 1024")
            }
            guard memory.map({ $0 > 0 }) ?? true else {
                throw ModelError(
                    .badOption, "\(memory ?? 0) bytes of memory; choose more than 0")
            }
        }
    }

    /// Answers the last of some messages. For conversations that somebody else keeps; see ``Session``.
    ///
    /// - Parameters:
    ///   - messages: The conversation, the system message first where there is one.
    ///   - maxTokens: Most tokens of the answer; nil: as many as the context has room for.
    ///   - stop: Strings that end the answer; they are not part of it.
    ///   - sampling: How tokens are drawn; by default the model's own way.
    ///   - format: What the answer must be, such as JSON; without `tools`.
    ///   - tools: Functions that the answer may call; ``AnswerReader`` tells calls from text.
    /// - Returns: The answer's tokens. Reading them throws ``ModelError`` where the messages do not fit the
    ///   context, the model's template refuses them, or weights cannot be read.
    public func respond(
        to messages: [Message], maxTokens: Int? = nil, stop: [String] = [],
        sampling: Sampling? = nil, format: AnswerFormat = .text, tools: Tools? = nil
    ) -> Answer {
        do {
            let chat = try self.format()
            var grammar = try format.grammar()
            if let tools {
                guard let form = chat.tools else {
                    throw ModelError(
                        .badOption, "the model's chat template has no known format of tools")
                }
                guard grammar == nil else {
                    throw ModelError(.badOption, "tools cannot be combined with an answer format")
                }
                grammar = try tools.grammar(form)
            }
            let turns = messages.map { Turn($0.forTemplates) }
            let ids = try chat.prompt(turns, tools: tools?.text ?? "").ids
            try check(ids)
            return AnswerRequest.answer(
                engine, ids, try drawing(sampling, chat: true),
                maxTokens: maxTokens ?? contextLength, stop: stop, grammar,
                isAnswer: true)
        } catch {
            return AnswerRequest.failed(ModelError(error))
        }
    }

    /// Writes what was computed and is not yet in the folder of ``Options/promptCache``. That happens by itself
    /// whenever nothing is to be answered; a program that ends calls it last.
    public func savePrompts() async { await engine.save() }

    /// How tokens are drawn by default.
    ///
    /// - Parameter answering: Whether a message is answered; else a text is continued.
    public func defaultSampling(answering: Bool) -> Sampling {
        Sampling(SamplingOptions(for: source.file.config, chat: answering))
    }

    /// The ids of a text, without those that begin or end one.
    public func tokenize(_ text: String) -> [Int] {
        source.tokenizer.encode(text, specials: .asText).map { Int($0) }
    }

    /// The bytes that ids stand for, special tokens as they are spelled; nil if one is outside the
    /// vocabulary.
    public func detokenize(_ ids: [Int]) -> [UInt8]? {
        var bytes: [UInt8] = []
        for id in ids {
            guard (0..<source.file.config.vocabularySize).contains(id) else { return nil }
            bytes += source.tokenizer.bytes(of: Int32(id))
        }
        return bytes
    }

    /// Continues a text, without a chat template.
    ///
    /// - Parameters:
    ///   - text: The beginning of the text.
    ///   - maxTokens: Most tokens to generate; nil: as many as the context has room for.
    ///   - stop: Strings that end the text; they are not part of it.
    ///   - sampling: How tokens are drawn; by default the model's own way, else the likeliest.
    ///   - format: What the text must be, such as JSON.
    public func complete(
        _ text: String, maxTokens: Int? = 256, stop: [String] = [], sampling: Sampling? = nil,
        format: AnswerFormat = .text
    ) -> Answer {
        do {
            let tokenizer = source.tokenizer
            let (ids, _) = tokenizer.encodeOnceBegun(
                text, specials: .asText, addBOS: tokenizer.tables.addsBOS)
            try check(ids)
            return AnswerRequest.answer(
                engine, ids, try drawing(sampling, chat: false),
                maxTokens: maxTokens ?? contextLength, stop: stop,
                try format.grammar(), isAnswer: false)
        } catch {
            return AnswerRequest.failed(error)
        }
    }

    /// Refuses a prompt that leaves no room for a token.
    private func check(_ prompt: [Int32]) throws(ModelError) {
        guard prompt.count < contextLength else {
            throw ModelError(DecodingError.promptTooLong(prompt.count, context: contextLength))
        }
        guard !prompt.isEmpty else { throw ModelError(DecodingError.emptyPrompt) }
    }

    /// How tokens are drawn: as `sampling` says, or by default.
    func drawing(_ sampling: Sampling?, chat: Bool) throws(ModelError) -> SamplingOptions {
        if let sampling { return try sampling.options() }
        var options = SamplingOptions(for: source.file.config, chat: chat)
        options.seed = .random(in: 0...UInt64(UInt32.max))
        return options
    }

    /// How its template writes calls of tools; nil if it has none.
    var toolFormat: ToolFormat? { try? format().tools }

    func format() throws(ModelError) -> ChatFormat {
        do {
            return try source.chatFormat()
        } catch {
            throw ModelError(error)
        }
    }
}
