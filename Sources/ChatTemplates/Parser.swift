/// Builds statements from tokens; expressions are in Parser+Expressions.
struct Parser {
    let tokens: [(token: Token, line: Int)]
    var at = 0
    private var depth = 0
    /// Whether `break` and `continue` may stand here.
    private var isInLoop = false
    /// Names that were read since the innermost macro began.
    var mentions: Set<String> = []

    static func parse(_ source: String) throws(TemplateError) -> [Statement] {
        var parser = Parser(tokens: try Lexer.tokens(of: source))
        let statements = try parser.body(until: [])
        guard parser.at == parser.tokens.count else { throw parser.failure("an unmatched tag") }
        return statements
    }

    private init(tokens: [(token: Token, line: Int)]) { self.tokens = tokens }

    func failure(_ reason: String) -> TemplateError { .syntax(line: line, reason: reason) }

    private var line: Int { at < tokens.count ? tokens[at].line : tokens.last?.line ?? 1 }

    var peek: Token? { at < tokens.count ? tokens[at].token : nil }

    func isName(_ name: String, ahead: Int = 0) -> Bool {
        at + ahead < tokens.count && tokens[at + ahead].token == .name(name)
    }

    mutating func take(_ token: Token) -> Bool {
        guard peek == token else { return false }
        at += 1
        return true
    }

    mutating func expect(_ token: Token) throws(TemplateError) {
        guard take(token) else {
            throw failure("\(Self.spelled(token)) expected, not \(Self.spelled(peek))")
        }
    }

    private static func spelled(_ token: Token?) -> String {
        switch token {
        case nil: "the end"
        case .text: "text"
        case .outputBegin: "'{{'"
        case .outputEnd: "'}}'"
        case .blockBegin: "'{%'"
        case .blockEnd: "'%}'"
        case .name(let name): "'\(name)'"
        case .string: "a string"
        case .int, .float: "a number"
        case .symbol(let symbol): "'\(symbol)'"
        }
    }

    mutating func name() throws(TemplateError) -> String {
        guard case .name(let name) = peek else {
            throw failure("a name expected, not \(Self.spelled(peek))")
        }
        at += 1
        return name
    }

    /// Parses one level deeper.
    mutating func nested<Result>(
        _ parse: (inout Parser) throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        depth += 1
        defer { depth -= 1 }
        guard depth < Work.depthLimit / 2 else { throw failure("nested too deeply") }
        return try parse(&self)
    }

    // MARK: Statements

    /// Statements up to a block that begins with one of `ends`, which is not consumed.
    private mutating func body(until ends: [String]) throws(TemplateError) -> [Statement] {
        try nested { parser throws(TemplateError) in
            var statements: [Statement] = []
            while let token = parser.peek {
                let line = parser.line
                switch token {
                case .text(let text):
                    parser.at += 1
                    statements.append(Statement(line: line, kind: .text(MarkedText(text))))
                case .outputBegin:
                    parser.at += 1
                    let value = try parser.tuple()
                    try parser.expect(.outputEnd)
                    statements.append(Statement(line: line, kind: .output(value)))
                default:
                    if ends.contains(where: { parser.isName($0, ahead: 1) }) { return statements }
                    try parser.expect(.blockBegin)
                    statements.append(Statement(line: line, kind: try parser.block()))
                }
            }
            guard ends.isEmpty else { throw parser.failure("'\(ends[ends.count - 1])' is missing") }
            return statements
        }
    }

    /// Statements up to `{% end %}`, which is consumed, outside of any loop where `isFrame`.
    private mutating func body(
        endedBy end: String, isFrame: Bool
    ) throws(TemplateError) -> [Statement] {
        let saved = isInLoop
        defer { isInLoop = saved }
        if isFrame { isInLoop = false }
        let statements = try body(until: [end])
        try self.end(end)
        return statements
    }

    private mutating func end(_ word: String) throws(TemplateError) {
        try expect(.blockBegin)
        try expect(.name(word))
        try expect(.blockEnd)
    }

    private mutating func block() throws(TemplateError) -> Statement.Kind {
        switch try name() {
        case "if": return try condition()
        case "for": return try loop()
        case "set": return try assignment()
        case "macro": return .macro(try macro())
        case "call": return try call()
        case "filter":
            at -= 1
            let filters = try filterSteps()
            try expect(.blockEnd)
            return .filter(filters, try body(endedBy: "endfilter", isFrame: true))
        case "with": return try with()
        case "generation":  // marks what the assistant says, for training
            try expect(.blockEnd)
            return .scope(try body(endedBy: "endgeneration", isFrame: true))
        case let word where word == "break" || word == "continue":
            guard isInLoop else { throw failure("'\(word)' outside of a loop") }
            try expect(.blockEnd)
            return word == "break" ? .breakLoop : .continueLoop
        case let word:
            at -= 1
            throw failure("'\(word)' is not supported")
        }
    }

    private mutating func condition() throws(TemplateError) -> Statement.Kind {
        var branches: [(test: Expression, body: [Statement])] = []
        repeat {
            let test = try tuple(allowsChoice: false)
            try expect(.blockEnd)
            branches.append((test, try body(until: ["elif", "else", "endif"])))
            try expect(.blockBegin)
        } while take(.name("elif"))
        var otherwise: [Statement] = []
        if take(.name("else")) {
            try expect(.blockEnd)
            otherwise = try body(until: ["endif"])
            try expect(.blockBegin)
        }
        try expect(.name("endif"))
        try expect(.blockEnd)
        return .condition(branches, otherwise: otherwise)
    }

    private mutating func loop() throws(TemplateError) -> Statement.Kind {
        let target = try target(until: "in")
        try expect(.name("in"))
        let source = try tuple(allowsChoice: false, until: "recursive")
        let filter = take(.name("if")) ? try expression() : nil
        let isRecursive = take(.name("recursive"))
        try expect(.blockEnd)
        let saved = isInLoop
        defer { isInLoop = saved }
        isInLoop = true
        let statements = try body(until: ["else", "endfor"])
        isInLoop = saved
        try expect(.blockBegin)
        var otherwise: [Statement] = []
        if take(.name("else")) {
            try expect(.blockEnd)
            otherwise = try body(until: ["endfor"])
            try expect(.blockBegin)
        }
        try expect(.name("endfor"))
        try expect(.blockEnd)
        return .loop(
            LoopStatement(
                target: target, source: source, filter: filter, isRecursive: isRecursive,
                body: statements, otherwise: otherwise))
    }

    private mutating func assignment() throws(TemplateError) -> Statement.Kind {
        let target = try target(allowsMembers: true)
        if take(.symbol("=")) {
            let value = try tuple()
            try expect(.blockEnd)
            return .set(target, value)
        }
        let filters = peek == .symbol("|") ? try filterSteps() : []
        try expect(.blockEnd)
        return .setBlock(target, filters: filters, try body(endedBy: "endset", isFrame: true))
    }

    /// Names between commas, possibly in parentheses.
    private mutating func target(
        allowsMembers: Bool = false, until end: String? = nil
    ) throws(TemplateError) -> Target {
        var parts: [Target] = []
        var isTuple = false
        repeat {
            if !parts.isEmpty, end.map({ isName($0) }) ?? false || peek == .symbol("=") { break }
            parts.append(try simpleTarget(allowsMembers: allowsMembers))
            if peek == .symbol(",") { isTuple = true }
        } while take(.symbol(","))
        return isTuple ? .tuple(parts) : parts[0]
    }

    private mutating func simpleTarget(allowsMembers: Bool) throws(TemplateError) -> Target {
        try nested { parser throws(TemplateError) in
            if parser.take(.symbol("(")) {
                let inner = try parser.target()
                try parser.expect(.symbol(")"))
                return inner
            }
            let name = try parser.name()
            guard !["true", "false", "none", "True", "False", "None"].contains(name) else {
                throw parser.failure("'\(name)' cannot be assigned to")
            }
            guard allowsMembers, parser.take(.symbol(".")) else { return .name(name) }
            return .member(name, try parser.name())
        }
    }

    private mutating func with() throws(TemplateError) -> Statement.Kind {
        var values: [(Target, Expression)] = []
        while peek != .blockEnd {
            if !values.isEmpty { try expect(.symbol(",")) }
            let target = try simpleTarget(allowsMembers: false)
            try expect(.symbol("="))
            values.append((target, try expression()))
        }
        try expect(.blockEnd)
        return .with(values, try body(endedBy: "endwith", isFrame: false))
    }

    // MARK: Macros

    private mutating func macro() throws(TemplateError) -> MacroDefinition {
        let title = try name()
        let parameters = try signature()
        try expect(.blockEnd)
        let outer = mentions
        mentions = []
        defer { mentions.formUnion(outer) }
        let body = try body(endedBy: "endmacro", isFrame: true)
        return MacroDefinition(
            name: title, parameters: parameters, body: body, mentions: mentions)
    }

    private mutating func signature() throws(TemplateError) -> [(
        name: String, standard: Expression?
    )] {
        var parameters: [(name: String, standard: Expression?)] = []
        try expect(.symbol("("))
        while !take(.symbol(")")) {
            if !parameters.isEmpty { try expect(.symbol(",")) }
            let parameter = try name()
            let standard = take(.symbol("=")) ? try expression() : nil
            if standard == nil, let last = parameters.last, last.standard != nil {
                throw failure("'\(parameter)' needs a default, as the one before it has")
            }
            guard !parameters.contains(where: { $0.name == parameter }) else {
                throw failure("'\(parameter)' is a parameter twice")
            }
            parameters.append((parameter, standard))
        }
        return parameters
    }

    private mutating func call() throws(TemplateError) -> Statement.Kind {
        let parameters = peek == .symbol("(") ? try signature() : []
        let callee = try expression()
        guard case .steps(let base, let steps) = callee, case .call(let arguments) = steps.last
        else { throw failure("a call expected") }
        try expect(.blockEnd)
        let body = try body(endedBy: "endcall", isFrame: true)
        let definition = MacroDefinition(
            name: "caller", parameters: parameters, body: body, mentions: [])
        let function: Expression = steps.count == 1 ? base : .steps(base, steps.dropLast())
        return .call(definition, function, arguments)
    }
}
