/// A statement of a template, and where it stands.
struct Statement: Sendable {
    let line: Int
    let kind: Kind

    indirect enum Kind: Sendable {
        case text(MarkedText)
        case output(Expression)
        case condition([(test: Expression, body: [Statement])], otherwise: [Statement])
        case loop(LoopStatement)
        case set(Target, Expression)
        case setBlock(Target, filters: [Expression.Step], [Statement])
        case macro(MacroDefinition)
        /// `{% call(a) f(x) %}`: the body becomes the macro `caller` of the call.
        case call(MacroDefinition, Expression, CallArguments)
        case filter([Expression.Step], [Statement])
        case with([(Target, Expression)], [Statement])
        /// A body whose variables are its own.
        case scope([Statement])
        case breakLoop
        case continueLoop
    }
}

/// The target of an assignment.
indirect enum Target: Sendable {
    case name(String)
    case member(String, String)
    case tuple([Target])
}

/// `{% for target in source if filter recursive %}`
struct LoopStatement: Sendable {
    let target: Target
    let source: Expression
    let filter: Expression?
    let isRecursive: Bool
    let body: [Statement]
    let otherwise: [Statement]
}

struct MacroDefinition: Sendable {
    let name: String
    let parameters: [(name: String, standard: Expression?)]
    let body: [Statement]
    /// Which of `caller`, `varargs` and `kwargs` the body mentions.
    let mentions: Set<String>
}

struct CallArguments: Sendable {
    var positional: [Expression] = []
    var named: [(name: String, value: Expression)] = []
    /// `*rest`
    var rest: Expression?
    /// `**members`
    var members: Expression?
}

/// Chains of operators and of attributes are lists, so that a tree is never deeper than the
/// parser went.
indirect enum Expression: Sendable {
    case literal(Literal)
    case name(String)
    case steps(Expression, [Step])
    case not(Expression)
    case sign(isNegative: Bool, Expression)
    /// Operators of one precedence, from left to right.
    case chain(Expression, [(BinaryOperator, Expression)])
    case concatenation([Expression])
    /// `a < b <= c`: all hold.
    case comparison(Expression, [(String, Expression)])
    case all([Expression])
    case any([Expression])
    case choice(test: Expression, Expression, otherwise: Expression?)
    case list([Expression])
    case tuple([Expression])
    case dict([(key: Expression, value: Expression)])

    enum Literal: Sendable {
        case none
        case bool(Bool)
        case int(Int)
        case float(Double)
        case string(MarkedText)
    }

    /// An operation on a value.
    enum Step: Sendable {
        case attribute(String)
        case item(Expression)
        case slice(Expression?, Expression?, Expression?)
        case call(CallArguments)
        case filter(String, CallArguments)
        case test(String, CallArguments, isNegated: Bool)
    }
}
