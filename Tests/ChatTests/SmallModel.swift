import TesseraChat
import TesseraChatTemplates
import TesseraDecoding
import TesseraKernels
import TesseraTestSupport
import TesseraTokenization
import TesseraTransformer
import TesseraWeightFile

/// The model that comes with the program, and how many tokens it has committed.
final class CountingModel: LanguageModel {
    private let model: TokenSequence
    /// Tokens of all passes.
    private(set) var committed = 0

    init(context: Int) throws {
        var options = Model.Options()
        options.contextLength = context
        options.threads = 1
        model = try TokenSequence(try WeightFile(path: Models.standard), options: options)
    }

    var vocabularySize: Int { model.vocabularySize }
    /// Next-token prediction is enough here.
    var blockDecoding: ModelConfig.BlockDecoding? { nil }
    var compute: Compute { model.compute }
    var position: Int { model.position }
    var contextLength: Int { model.contextLength }
    var batchCapacity: Int { model.batchCapacity }
    var logitCapacity: Int { model.logitCapacity }
    var logits: Buffer<Float> { model.logits }
    var logitStride: Int { model.logitStride }

    func forward(
        committed: [Int32], open: [Int32], logitRows: [Int], blockSize: Int
    ) throws(TransformerError) {
        self.committed += committed.count
        try model.forward(
            committed: committed, open: open, logitRows: logitRows, blockSize: blockSize)
    }

    func canTruncate(to position: Int) -> Bool { model.canTruncate(to: position) }
    func truncate(to position: Int) { model.truncate(to: position) }
    func reset() { model.reset() }
}

/// A conversation with that model, in a format of the test's own.
struct Talk {
    /// Roles and contents; of earlier answers only what follows a thought.
    static let thinking = """
        {% for m in messages %}{{ m.role }}:{% if m.role == 'assistant' %}{{ \
        m.content.split('=')[-1] }}{% else %}{{ m.content }}{% endif %}
        {% endfor %}assistant:
        """
    static let plain = """
        {% for m in messages %}{{ m.role }}:{{ m.content }}
        {% endfor %}assistant:
        """

    let model: CountingModel
    let state: DecodingState
    let format: ChatFormat
    var conversation: Conversation

    init(_ template: String = plain, context: Int = 600, system: String? = nil) throws {
        let file = try WeightFile(path: Models.standard)
        model = try CountingModel(context: context)
        format = try ChatFormat(template: template, tokenizer: try Tokenizer(file.tokenizer))
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: model.vocabularySize, forbidden: [],
            compute: model.compute)
        state = DecodingState(model, sampler: sampler, stopTokens: [])
        conversation = Conversation(
            format, context: state.model.contextLength, stopTokens: [], system: system)
    }

    /// Asks a question.
    ///
    /// - Returns: The tokens that the model still needs, and how many questions were left out.
    mutating func ask(_ text: String, limit: Int) throws -> Conversation.Question {
        var question = try conversation.ask(text, limit: limit)
        question.ids = NextTokenDecoder(state).rest(of: question.ids)
        return question
    }

    /// Asks, lets the model say `count` tokens, and puts those in the conversation.
    ///
    /// - Returns: The ids that the model was given, and the ids that it gave.
    @discardableResult
    mutating func say(
        _ text: String, count: Int = 5
    ) throws -> (question: Conversation.Question, ids: [Int32]) {
        let question = try ask(text, limit: count)
        var answer = ""
        let generation = Generation(
            NextTokenDecoder(state), tokenizer: format.tokenizer, limit: count,
            output: { answer += $1 })
        let summary = try generation.run(question.ids)
        conversation.answer(answer, summary.tokens)
        return (question, summary.tokens.map(\.id))
    }

    /// Puts an answer of the test's own into cache and conversation, as if the model had given it.
    mutating func pretend(_ text: String, question: Conversation.Question) throws {
        let ids = format.tokenizer.encode(text, specials: .asText)
        let generation = Generation(
            NextTokenDecoder(state), tokenizer: format.tokenizer, limit: 1)
        _ = try generation.run(question.ids + ids)
        state.drop(last: 1)  // all but what the model said itself
        conversation.answer(
            text, ids.map { FixedToken(id: $0, logProbability: 0, pass: 1) })
    }
}
