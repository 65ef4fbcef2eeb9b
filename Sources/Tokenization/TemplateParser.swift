/// A statement of a template.
indirect enum TemplateNode {
    case text(String)
    case output(TemplateExpression)
    case condition([(test: TemplateExpression, body: [TemplateNode])], otherwise: [TemplateNode])
    case loop(
        names: [String], TemplateExpression, filter: TemplateExpression?, body: [TemplateNode],
        otherwise: [TemplateNode])
    case set(target: [String], TemplateExpression)
    case setBlock(String, [TemplateNode])
    case macro(String, parameters: [(name: String, value: TemplateExpression?)], [TemplateNode])
    case breakLoop
    case continueLoop
}

indirect enum TemplateExpression {
    case value(TemplateValue)
    case name(String)
    case attribute(TemplateExpression, String)
    case item(TemplateExpression, TemplateExpression)
    case slice(
        TemplateExpression, TemplateExpression?, TemplateExpression?, TemplateExpression?)
    case call(TemplateExpression, Arguments)
    case filter(TemplateExpression, String, Arguments)
    case test(TemplateExpression, String, Arguments, negated: Bool)
    case unary(String, TemplateExpression)
    case binary(String, TemplateExpression, TemplateExpression)
    case choice(TemplateExpression, test: TemplateExpression, TemplateExpression?)
    case list([TemplateExpression])
    case dict([(TemplateExpression, TemplateExpression)])

    struct Arguments {
        var positional: [TemplateExpression] = []
        var named: [(String, TemplateExpression)] = []
    }
}

/// Builds statements from tokens; expressions are in TemplateParser+Expressions.
struct TemplateParser {
    let tokens: [(token: TemplateToken, line: Int)]
    var at = 0
    var depth = 0

    static func parse(_ source: String) throws(TemplateError) -> [TemplateNode] {
        var parser = TemplateParser(tokens: try TemplateLexer.tokens(of: source))
        let nodes = try parser.body(until: [])
        guard parser.at == parser.tokens.count else { throw parser.failure("an unmatched tag") }
        return nodes
    }

    func failure(_ reason: String) -> TemplateError {
        let line = at < tokens.count ? tokens[at].line : tokens.last?.line ?? 1
        return .syntax(line: line, reason: reason)
    }

    var peek: TemplateToken? { at < tokens.count ? tokens[at].token : nil }

    func isName(_ name: String, ahead: Int = 0) -> Bool {
        at + ahead < tokens.count && tokens[at + ahead].token == .name(name)
    }

    mutating func take(_ token: TemplateToken) -> Bool {
        guard peek == token else { return false }
        at += 1
        return true
    }

    mutating func expect(_ token: TemplateToken) throws(TemplateError) {
        guard take(token) else {
            throw failure("\(token) expected, not \(String(describing: peek))")
        }
    }

    mutating func name() throws(TemplateError) -> String {
        guard case .name(let name) = peek else { throw failure("a name expected") }
        at += 1
        return name
    }

    /// Statements up to a block that begins with one of `ends`, which is not consumed.
    private mutating func body(until ends: [String]) throws(TemplateError) -> [TemplateNode] {
        depth += 1
        defer { depth -= 1 }
        guard depth < 64 else { throw failure("nested too deeply") }
        var nodes: [TemplateNode] = []
        while let token = peek {
            switch token {
            case .text(let text):
                at += 1
                nodes.append(.text(text))
            case .outputBegin:
                at += 1
                nodes.append(.output(try expression()))
                try expect(.outputEnd)
            case .blockBegin:
                if case .name(let word) = tokens[at + 1].token, ends.contains(word) { return nodes }
                at += 1
                nodes += try block()
            default: throw failure("a tag or text expected")
            }
        }
        guard ends.isEmpty else { throw failure("'\(ends[ends.count - 1])' is missing") }
        return nodes
    }

    private mutating func block() throws(TemplateError) -> [TemplateNode] {
        switch try name() {
        case "if": return [try condition()]
        case "for": return [try loop()]
        case "set": return [try assignment()]
        case "macro": return [try macro()]
        case "break":
            try expect(.blockEnd)
            return [.breakLoop]
        case "continue":
            try expect(.blockEnd)
            return [.continueLoop]
        case "generation":  // marks what the assistant says, for training
            try expect(.blockEnd)
            let nodes = try body(until: ["endgeneration"])
            try end("endgeneration")
            return nodes
        case let word:
            at -= 1
            throw failure("'\(word)' is not supported")
        }
    }

    private mutating func end(_ word: String) throws(TemplateError) {
        try expect(.blockBegin)
        try expect(.name(word))
        try expect(.blockEnd)
    }

    private mutating func condition() throws(TemplateError) -> TemplateNode {
        var branches: [(test: TemplateExpression, body: [TemplateNode])] = []
        var otherwise: [TemplateNode] = []
        let test = try expression()
        try expect(.blockEnd)
        branches.append((test, try body(until: ["elif", "else", "endif"])))
        while isName("elif", ahead: 1) {
            at += 2
            let test = try expression()
            try expect(.blockEnd)
            branches.append((test, try body(until: ["elif", "else", "endif"])))
        }
        if isName("else", ahead: 1) {
            at += 2
            try expect(.blockEnd)
            otherwise = try body(until: ["endif"])
        }
        try end("endif")
        return .condition(branches, otherwise: otherwise)
    }

    private mutating func loop() throws(TemplateError) -> TemplateNode {
        let parenthesized = take(.symbol("("))
        var names = [try name()]
        while take(.symbol(",")) { names.append(try name()) }
        if parenthesized { try expect(.symbol(")")) }
        try expect(.name("in"))
        let source = try expression(allowsChoice: false)
        let filter = take(.name("if")) ? try expression() : nil
        try expect(.blockEnd)
        let nodes = try body(until: ["else", "endfor"])
        var otherwise: [TemplateNode] = []
        if isName("else", ahead: 1) {
            at += 2
            try expect(.blockEnd)
            otherwise = try body(until: ["endfor"])
        }
        try end("endfor")
        return .loop(names: names, source, filter: filter, body: nodes, otherwise: otherwise)
    }

    private mutating func assignment() throws(TemplateError) -> TemplateNode {
        var target = [try name()]
        if take(.symbol(".")) { target.append(try name()) }
        if take(.blockEnd) {
            guard target.count == 1 else { throw failure("'=' expected") }
            let nodes = try body(until: ["endset"])
            try end("endset")
            return .setBlock(target[0], nodes)
        }
        try expect(.symbol("="))
        let value = try expression()
        try expect(.blockEnd)
        return .set(target: target, value)
    }

    private mutating func macro() throws(TemplateError) -> TemplateNode {
        let title = try name()
        var parameters: [(name: String, value: TemplateExpression?)] = []
        try expect(.symbol("("))
        while !take(.symbol(")")) {
            let parameter = try name()
            parameters.append((parameter, take(.symbol("=")) ? try expression() : nil))
            guard take(.symbol(",")) || peek == .symbol(")") else { throw failure("',' expected") }
        }
        try expect(.blockEnd)
        let nodes = try body(until: ["endmacro"])
        try end("endmacro")
        return .macro(title, parameters: parameters, nodes)
    }
}
