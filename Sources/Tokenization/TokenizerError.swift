/// Why a tokenizer could not be set up.
public enum TokenizerError: Error, Equatable, CustomStringConvertible {
    /// A split pattern that the matcher does not know.
    case pattern(String, offset: Int, reason: String)

    public var description: String {
        switch self {
        case .pattern(let text, let offset, let reason):
            "the tokenizer's pattern is not supported at character \(offset): \(reason): \(text)"
        }
    }
}
