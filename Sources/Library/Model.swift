/// A language model that is open on this machine: its weights, and the threads that compute with them.
///
/// ```swift
/// let model = try await Model.load("model.tsr")
/// let session = try await Session(model, system: "Answer in one sentence.")
/// for try await token in session.respond(to: "What is a tessera?") {
///     print(token.text, terminator: "")
/// }
/// ```
///
/// Sessions share the weights. Answers that are asked for at the same time are computed in common passes,
/// which read the weights once; no answer depends on which others there are.
public final class Model: Sendable {
    /// The name in the file, such as "SmolLM2 135M Instruct".
    public let name: String
    /// The file.
    public let path: String
    /// Positions of each session's context: instructions, questions and answers together.
    public let contextLength: Int
    let engine: Engine

    private init(_ path: String, _ engine: Engine, _ facts: Engine.Facts) {
        self.path = path
        self.engine = engine
        name = facts.name
        contextLength = facts.contextLength
    }

    /// Opens a `.tsr` file and loads as many of its weights as memory has room for; others are read from
    /// the file in each pass. `tessera quantize` makes such files.
    ///
    /// Takes from milliseconds to minutes, as fast as the file can be read.
    ///
    /// - Throws: ``ModelError`` where the file is not there or damaged, or where it does not run with
    ///   `options` on this machine.
    public static func load(
        _ path: String, options: Options = Options()
    ) async throws(ModelError) -> Model {
        try options.check()
        let engine = Engine()
        let facts = try await engine.open(path, options)
        return Model(path, engine, facts)
    }

    /// How a model is run.
    public struct Options: Sendable, Equatable {
        /// Positions of a session's context; by default as many as the model knows and memory has room
        /// for.
        public var contextLength: Int?
        /// Bytes that this process may take; by default what the machine and its control groups leave.
        /// Weights beyond it are read from disk in each pass.
        public var memory: Int?
        /// Threads that compute; by default the processors that this process may use.
        public var threads: Int?
        /// Numbers of the key/value cache.
        public var cache = Cache.int8
        /// Sessions that there may be at a time, 1 to 64: memory for their caches is planned for.
        public var sessions = 1

        /// How keys and values are stored. Fewer bits take less memory and are less exact.
        public enum Cache: Sendable {
            case int4, int8, float16, float32
        }

        public init() {}

        func check() throws(ModelError) {
            guard (1...64).contains(sessions) else {
                throw ModelError(.badOption, "\(sessions) sessions; choose 1 to 64")
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
                throw ModelError(.badOption, "\(memory ?? 0) bytes of memory; choose more than 0")
            }
        }
    }

    /// Continues a text, without a chat template and apart from all sessions.
    ///
    /// Takes the place of a session while it runs.
    ///
    /// - Parameters:
    ///   - maxTokens: Most tokens to generate.
    ///   - stop: Strings that end the text; they are not part of it.
    ///   - sampling: How tokens are drawn; by default the model's own way, else the likeliest.
    public func complete(
        _ text: String, maxTokens: Int = 256, stop: [String] = [], sampling: Sampling? = nil
    ) -> Answer {
        Answer(maxTokens: maxTokens, stop: stop) { [engine] in
            await engine.complete(text, sampling, $0)
        }
    }
}
