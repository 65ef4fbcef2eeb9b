/// What texts may be: rules over bytes, by which other rules may be meant.
///
/// Made from GBNF by ``init(gbnf:)`` or from a JSON Schema by ``init(schema:)``. What it allows is never a
/// dead end: whatever has been allowed so far can be brought to an end.
public struct Grammar: Sendable {
    let network: Network

    /// - Parameters:
    ///   - rules: Names, as errors call them, and what each rule stands for.
    ///   - root: Index of the rule that a whole text follows.
    /// - Throws: Where a rule calls itself before any character, where no text follows the rules, or where they are
    ///   larger than ``Network/stateLimit``.
    init(_ rules: [Rule], root: Int) throws(GrammarError) {
        network = try Network(rules, root: root)
    }

    struct Rule: Sendable {
        var name: String
        var body: Expression
    }
}

/// The texts that a part may be.
indirect enum Expression: Sendable {
    case bytes([UInt8])
    /// One character whose scalar value is in one of these ranges.
    case characters([ClosedRange<UInt32>])
    case sequence([Expression])
    /// One of these; an empty list allows no text.
    case choice([Expression])
    /// - `most`: nil for any number.
    case repeated(Expression, least: Int, most: Int?)
    case rule(Int)

    static let empty = Expression.sequence([])
    static let never = Expression.choice([])

    static func text(_ text: String) -> Expression { .bytes(Array(text.utf8)) }
    static func optional(_ body: Expression) -> Expression { .repeated(body, least: 0, most: 1) }
    static func any(of body: Expression) -> Expression { .repeated(body, least: 0, most: nil) }
}

/// Why a grammar or schema cannot be used.
public enum GrammarError: Error, Equatable, Sendable, CustomStringConvertible {
    /// Text that is not a grammar.
    case syntax(line: Int, String)
    /// A part of a schema, by its JSON pointer, and what is wrong with it.
    case schema(path: String, String)
    /// A rule that begins with itself.
    case leftRecursion(String)
    /// A rule that only further rules of its kind could end.
    case endless(String)
    /// Rules with more states than this program allows.
    case tooLarge(String)
    /// The possible next bytes of a text cannot be found with bounded work.
    case tooAmbiguous

    public var description: String {
        switch self {
        case .syntax(let line, let reason): "line \(line) of the grammar: \(reason)"
        case .schema(let path, let reason): "\(Self.named(path)) of the schema \(reason)"
        case .leftRecursion(let rule):
            "\(rule) begins with itself; put a character before the repetition"
        case .endless(let rule): "\(rule) cannot be followed by any finite text"
        case .tooLarge(let rule): "\(rule) is too large: use smaller limits"
        case .tooAmbiguous:
            "the grammar allows too many readings of one text; make its alternatives differ earlier"
        }
    }

    private static func named(_ path: String) -> String { path.isEmpty ? "the root" : "'\(path)'" }
}
