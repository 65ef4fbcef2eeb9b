// Jinja's precedence, loosest first: a if b else c, or, and, not, comparisons, + -, ~, * / // %,
// unary, **, and then attributes, items, calls, filters and tests.
extension TemplateParser {
    mutating func expression(allowsChoice: Bool = true) throws(TemplateError) -> TemplateExpression
    {
        depth += 1
        defer { depth -= 1 }
        guard depth < 64 else { throw failure("nested too deeply") }
        let value = try either()
        guard allowsChoice, take(.name("if")) else { return value }
        let test = try either()
        let otherwise = take(.name("else")) ? try expression() : nil
        return .choice(value, test: test, otherwise)
    }

    private mutating func either() throws(TemplateError) -> TemplateExpression {
        var left = try both()
        while take(.name("or")) { left = .binary("or", left, try both()) }
        return left
    }

    private mutating func both() throws(TemplateError) -> TemplateExpression {
        var left = try negation()
        while take(.name("and")) { left = .binary("and", left, try negation()) }
        return left
    }

    private mutating func negation() throws(TemplateError) -> TemplateExpression {
        guard isName("not"), !isName("in", ahead: 1) else { return try comparison() }
        at += 1
        return .unary("not", try negation())
    }

    private mutating func comparison() throws(TemplateError) -> TemplateExpression {
        var left = try sum()
        while true {
            if case .symbol(let symbol) = peek, ["==", "!=", "<", ">", "<=", ">="].contains(symbol)
            {
                at += 1
                left = .binary(symbol, left, try sum())
            } else if take(.name("in")) {
                left = .binary("in", left, try sum())
            } else if isName("not"), isName("in", ahead: 1) {
                at += 2
                left = .unary("not", .binary("in", left, try sum()))
            } else {
                return left
            }
        }
    }

    private mutating func sum() throws(TemplateError) -> TemplateExpression {
        var left = try concatenation()
        while case .symbol(let symbol) = peek, symbol == "+" || symbol == "-" {
            at += 1
            left = .binary(symbol, left, try concatenation())
        }
        return left
    }

    private mutating func concatenation() throws(TemplateError) -> TemplateExpression {
        var left = try product()
        while take(.symbol("~")) { left = .binary("~", left, try product()) }
        return left
    }

    private mutating func product() throws(TemplateError) -> TemplateExpression {
        var left = try unary()
        while case .symbol(let symbol) = peek, ["*", "/", "//", "%"].contains(symbol) {
            at += 1
            left = .binary(symbol, left, try unary())
        }
        return left
    }

    private mutating func unary(filters: Bool = true) throws(TemplateError) -> TemplateExpression {
        if case .symbol(let symbol) = peek, symbol == "-" || symbol == "+" {
            at += 1
            let operand = TemplateExpression.unary(symbol, try unary(filters: false))
            return filters ? try filtersAndTests(operand) : operand
        }
        var value = try postfix(try primary())
        if take(.symbol("**")) { value = .binary("**", value, try unary(filters: false)) }
        return filters ? try filtersAndTests(value) : value
    }

    private mutating func primary() throws(TemplateError) -> TemplateExpression {
        guard let token = peek else { throw failure("an expression expected") }
        at += 1
        switch token {
        case .string(let text):
            var text = text
            while case .string(let more) = peek {  // neighbours join, as in Python
                at += 1
                text += more
            }
            return .value(.text(text))
        case .int(let value): return .value(.int(value))
        case .float(let value): return .value(.float(value))
        case .name(let name):
            switch name {
            case "true", "True": return .value(.bool(true))
            case "false", "False": return .value(.bool(false))
            case "none", "None": return .value(.none)
            default: return .name(name)
            }
        case .symbol("("):
            if take(.symbol(")")) { return .list([]) }
            let first = try expression()
            guard take(.symbol(",")) else {
                try expect(.symbol(")"))
                return first
            }
            return .list([first] + (try list(until: ")")))
        case .symbol("["): return .list(try list(until: "]"))
        case .symbol("{"): return try dictionary()
        default:
            at -= 1
            throw failure("an expression expected")
        }
    }

    private mutating func list(until end: String) throws(TemplateError) -> [TemplateExpression] {
        var values: [TemplateExpression] = []
        while !take(.symbol(end)) {
            values.append(try expression())
            guard take(.symbol(",")) || peek == .symbol(end) else { throw failure("',' expected") }
        }
        return values
    }

    private mutating func dictionary() throws(TemplateError) -> TemplateExpression {
        var members: [(TemplateExpression, TemplateExpression)] = []
        while !take(.symbol("}")) {
            let key = try expression()
            try expect(.symbol(":"))
            members.append((key, try expression()))
            guard take(.symbol(",")) || peek == .symbol("}") else { throw failure("',' expected") }
        }
        return .dict(members)
    }

    private mutating func postfix(
        _ start: TemplateExpression
    ) throws(TemplateError) -> TemplateExpression {
        var value = start
        while true {
            if take(.symbol(".")) {
                if case .int(let index) = peek {
                    at += 1
                    value = .item(value, .value(.int(index)))
                } else {
                    value = .attribute(value, try name())
                }
            } else if take(.symbol("[")) {
                value = try subscripting(value)
            } else if take(.symbol("(")) {
                value = .call(value, try arguments())
            } else {
                return value
            }
        }
    }

    private mutating func subscripting(
        _ value: TemplateExpression
    ) throws(TemplateError) -> TemplateExpression {
        var parts: [TemplateExpression?] = [nil]
        while !take(.symbol("]")) {
            if take(.symbol(":")) {
                guard parts.count < 3 else { throw failure("']' expected") }
                parts.append(nil)
            } else {
                guard parts[parts.count - 1] == nil else { throw failure("']' expected") }
                parts[parts.count - 1] = try expression()
            }
        }
        if parts.count == 1 {
            guard let index = parts[0] else { throw failure("an index expected") }
            return .item(value, index)
        }
        return .slice(value, parts[0], parts[1], parts.count > 2 ? parts[2] : nil)
    }

    private mutating func arguments() throws(TemplateError) -> TemplateExpression.Arguments {
        var result = TemplateExpression.Arguments()
        while !take(.symbol(")")) {
            if case .name(let name) = peek, at + 1 < tokens.count,
                tokens[at + 1].token == .symbol("=")
            {
                at += 2
                result.named.append((name, try expression()))
            } else {
                result.positional.append(try expression())
            }
            guard take(.symbol(",")) || peek == .symbol(")") else { throw failure("',' expected") }
        }
        return result
    }

    private mutating func filtersAndTests(
        _ start: TemplateExpression
    ) throws(TemplateError) -> TemplateExpression {
        var value = start
        while true {
            if take(.symbol("|")) {
                let title = try name()
                value = .filter(
                    value, title, take(.symbol("(")) ? try arguments() : .init())
            } else if take(.name("is")) {
                let negated = take(.name("not"))
                let title = try name()
                var arguments = TemplateExpression.Arguments()
                if take(.symbol("(")) {
                    arguments = try self.arguments()
                } else if startsOperand {
                    arguments.positional = [try postfix(try primary())]
                }
                value = .test(value, title, arguments, negated: negated)
            } else {
                return value
            }
        }
    }

    /// Whether a test's only argument follows without parentheses.
    private var startsOperand: Bool {
        switch peek {
        case .string, .int, .float, .symbol("["), .symbol("{"): true
        case .name(let name): !["and", "or", "not", "if", "else", "is", "in"].contains(name)
        default: false
        }
    }
}
