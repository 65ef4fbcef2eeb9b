/// Why a chat template could not be used.
public enum TemplateError: Error, Equatable, CustomStringConvertible {
    /// The template is not valid, or uses something outside of the supported part of Jinja.
    case syntax(line: Int, reason: String)
    /// Evaluating failed in the statement of this line (0: before any statement).
    case evaluation(line: Int, reason: String)
    /// The template refused the conversation (`raise_exception`).
    case refused(String)
    /// More work, output or nesting than any honest template needs.
    case limit(String)

    public var description: String {
        switch self {
        case .syntax(let line, let reason): "chat template, line \(line): \(reason)"
        case .evaluation(0, let reason): "chat template: \(reason)"
        case .evaluation(let line, let reason): "chat template, line \(line): \(reason)"
        case .refused(let reason): "the chat template refuses this conversation: \(reason)"
        case .limit(let reason): "chat template: too much work: \(reason)"
        }
    }

    /// A failure of the statement that runs; the interpreter adds the line.
    static func failure(_ reason: String) -> TemplateError { .evaluation(line: 0, reason: reason) }
}
