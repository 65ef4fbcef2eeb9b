public import TesseraTransformer

/// Why decoding cannot begin as asked, or cannot go on.
public enum DecodingError: Error, Equatable, CustomStringConvertible {
    /// Blocks of more than one token from a model without a mask token.
    case noMaskToken(blockSize: Int)
    /// A block size outside 1...64.
    case badBlockSize(Int)
    /// Verification by a model whose finished blocks are not causal.
    case notVerifiable
    /// A pass or its logits do not fit the buffers that the model was set up with.
    case capacity(needed: Int, available: Int)
    /// Logits that are infinite or no number: how many of a row, and for which position.
    case notFinite(count: Int, of: Int, position: Int)
    /// An option outside its range.
    case badOption(String)
    /// Nothing to continue.
    case emptyPrompt
    /// A prompt that leaves no position of the context for a token after it.
    case promptTooLong(Int, context: Int)
    /// An id that the model has no embedding for.
    case badToken(Int32, vocabularySize: Int)
    /// A source of drafts offered such an id.
    case badDraft(Int32, source: String, vocabularySize: Int)
    /// None of the vocabulary's tokens can follow by the grammar; the position.
    case noToken(Int)
    /// A pass could not be made.
    case pass(TransformerError)

    public var description: String {
        switch self {
        case .noMaskToken(let size):
            "a block size of \(size) needs a model trained with a mask token, and this one has "
                + "none; use --block-size 1"
        case .badBlockSize(let size):
            "a block size of \(size) is out of range; choose 1 to 64, or auto"
        case .notVerifiable:
            "this model's finished blocks are not causal, so that next-token prediction cannot "
                + "verify them; leave out --verify"
        case .capacity(let needed, let available):
            "a pass needs \(needed) rows and the model was set up for \(available); "
                + "choose a smaller --block-size"
        case .notFinite(let count, let size, let position):
            "\(count) of \(size) logits at position \(position) are not finite: weights are damaged, or "
                + "too large to compute with; run 'tessera verify FILE' on the model"
        case .badOption(let reason): reason
        case .emptyPrompt: "the prompt is empty; give at least one token"
        case .promptTooLong(let tokens, let context):
            "the prompt has \(tokens) tokens, and the context has \(context) positions"
        case .badToken(let id, let size):
            "token \(id) is outside the model's vocabulary of \(size)"
        case .badDraft(let id, let source, let size):
            "the drafts of '\(source)' have token \(id), which is outside the model's vocabulary of "
                + "\(size); use --draft off"
        case .noToken(let position):
            "no token of this model can follow at position \(position) by the grammar; change the grammar"
        case .pass(let error): error.description
        }
    }
}
