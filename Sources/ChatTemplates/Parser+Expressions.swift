// Jinja's precedence, loosest first: a if b else c, or, and, not, comparisons, + -, ~, * / // %, **,
// signs, and then attributes, items, calls, filters and tests.
extension Parser {
    /// Expressions between commas make a tuple.
    mutating func tuple(
        allowsChoice: Bool = true, until end: String? = nil
    ) throws(TemplateError) -> Expression {
        let first = try expression(allowsChoice: allowsChoice)
        guard peek == .symbol(",") else { return first }
        var parts = [first]
        while take(.symbol(",")) {
            switch peek {
            case .outputEnd, .blockEnd, .symbol(")"): return .tuple(parts)
            case .name(let name) where name == end: return .tuple(parts)
            default: parts.append(try expression(allowsChoice: allowsChoice))
            }
        }
        return .tuple(parts)
    }

    mutating func expression(allowsChoice: Bool = true) throws(TemplateError) -> Expression {
        try nested { parser throws(TemplateError) in
            let value = try parser.either()
            guard allowsChoice, parser.take(.name("if")) else { return value }
            let test = try parser.either()
            if parser.take(.name("else")) {
                return .choice(test: test, value, otherwise: try parser.expression())
            }
            guard !parser.isName("if") else { throw parser.failure("'else' expected") }
            return .choice(test: test, value, otherwise: nil)
        }
    }

    private mutating func either() throws(TemplateError) -> Expression {
        var parts = [try both()]
        while take(.name("or")) { parts.append(try both()) }
        return parts.count == 1 ? parts[0] : .any(parts)
    }

    private mutating func both() throws(TemplateError) -> Expression {
        var parts = [try negation()]
        while take(.name("and")) { parts.append(try negation()) }
        return parts.count == 1 ? parts[0] : .all(parts)
    }

    private mutating func negation() throws(TemplateError) -> Expression {
        guard take(.name("not")) else { return try comparison() }
        return .not(try nested { parser throws(TemplateError) in try parser.negation() })
    }

    private mutating func comparison() throws(TemplateError) -> Expression {
        let first = try sum()
        var rest: [(String, Expression)] = []
        while true {
            if case .symbol(let symbol) = peek, ["==", "!=", "<", ">", "<=", ">="].contains(symbol)
            {
                at += 1
                rest.append((symbol, try sum()))
            } else if take(.name("in")) {
                rest.append(("in", try sum()))
            } else if isName("not"), isName("in", ahead: 1) {
                at += 2
                rest.append(("not in", try sum()))
            } else {
                return rest.isEmpty ? first : .comparison(first, rest)
            }
        }
    }

    private mutating func sum() throws(TemplateError) -> Expression {
        try chain([.add, .subtract]) { parser throws(TemplateError) in
            try parser.concatenation()
        }
    }

    private mutating func concatenation() throws(TemplateError) -> Expression {
        var parts = [try product()]
        while take(.symbol("~")) { parts.append(try product()) }
        return parts.count == 1 ? parts[0] : .concatenation(parts)
    }

    private mutating func product() throws(TemplateError) -> Expression {
        try chain([.multiply, .divide, .floorDivide, .modulo]) { parser throws(TemplateError) in
            try parser.chain([.power]) { parser throws(TemplateError) in try parser.unary() }
        }
    }

    private mutating func chain(
        _ operators: Set<BinaryOperator>,
        _ operand: (inout Parser) throws(TemplateError) -> Expression
    ) throws(TemplateError) -> Expression {
        let first = try operand(&self)
        var rest: [(BinaryOperator, Expression)] = []
        while case .symbol(let text) = peek, let symbol = BinaryOperator(rawValue: text),
            operators.contains(symbol)
        {
            at += 1
            rest.append((symbol, try operand(&self)))
        }
        return rest.isEmpty ? first : .chain(first, rest)
    }

    private mutating func unary(allowsFilters: Bool = true) throws(TemplateError) -> Expression {
        let value: Expression
        if peek == .symbol("-") || peek == .symbol("+") {
            let isNegative = peek == .symbol("-")
            at += 1
            value = .sign(
                isNegative: isNegative,
                try nested { parser throws(TemplateError) in
                    try parser.unary(allowsFilters: false)
                })
        } else {
            value = try primary()
        }
        var steps = try postfix()
        if allowsFilters { steps += try filtersAndTests() }
        return steps.isEmpty ? value : .steps(value, steps)
    }

    private mutating func primary() throws(TemplateError) -> Expression {
        guard let token = peek else { throw failure("an expression expected, not the end") }
        at += 1
        switch token {
        case .name(let name): return word(name)
        case .string(let first):
            var text = first
            while case .string(let next) = peek {
                text += next
                at += 1
            }
            return .literal(.string(MarkedText(text)))
        case .int(let value): return .literal(.int(value))
        case .float(let value): return .literal(.float(value))
        case .symbol("("):
            if take(.symbol(")")) { return .tuple([]) }
            let value = try tuple()
            try expect(.symbol(")"))
            return value
        case .symbol("["): return .list(try elements(until: "]"))
        case .symbol("{"): return try dictionary()
        default:
            at -= 1
            throw failure("an expression expected")
        }
    }

    private mutating func word(_ name: String) -> Expression {
        switch name {
        case "true", "True": return .literal(.bool(true))
        case "false", "False": return .literal(.bool(false))
        case "none", "None": return .literal(.none)
        default:
            mentions.insert(name)
            return .name(name)
        }
    }

    private mutating func elements(until end: String) throws(TemplateError) -> [Expression] {
        var parts: [Expression] = []
        while !take(.symbol(end)) {
            if !parts.isEmpty {
                try expect(.symbol(","))
                if take(.symbol(end)) { break }
            }
            parts.append(try expression())
        }
        return parts
    }

    private mutating func dictionary() throws(TemplateError) -> Expression {
        var members: [(key: Expression, value: Expression)] = []
        while !take(.symbol("}")) {
            if !members.isEmpty {
                try expect(.symbol(","))
                if take(.symbol("}")) { break }
            }
            let key = try expression()
            try expect(.symbol(":"))
            members.append((key, try expression()))
        }
        return .dict(members)
    }

    // MARK: Steps

    /// Attributes, items and calls.
    private mutating func postfix() throws(TemplateError) -> [Expression.Step] {
        var steps: [Expression.Step] = []
        while true {
            if take(.symbol(".")) {
                if case .int(let index) = peek {
                    at += 1
                    steps.append(.item(.literal(.int(index))))
                } else {
                    steps.append(.attribute(try name()))
                }
            } else if take(.symbol("[")) {
                steps.append(try subscripting())
            } else if take(.symbol("(")) {
                steps.append(.call(try arguments()))
            } else {
                return steps
            }
        }
    }

    private mutating func subscripting() throws(TemplateError) -> Expression.Step {
        var parts: [Expression?] = [nil]
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
            return .item(index)
        }
        return .slice(parts[0], parts[1], parts.count > 2 ? parts[2] : nil)
    }

    private mutating func arguments() throws(TemplateError) -> CallArguments {
        var result = CallArguments()
        var isFirst = true
        while !take(.symbol(")")) {
            if !isFirst {
                try expect(.symbol(","))
                if take(.symbol(")")) { break }
            }
            isFirst = false
            try argument(&result)
        }
        return result
    }

    private mutating func argument(_ result: inout CallArguments) throws(TemplateError) {
        guard result.members == nil else { throw failure("an argument after '**'") }
        if take(.symbol("**")) {
            result.members = try expression()
        } else if take(.symbol("*")) {
            guard result.rest == nil else { throw failure("'*' twice") }
            result.rest = try expression()
        } else if case .name(let name) = peek, at + 1 < tokens.count,
            tokens[at + 1].token == .symbol("=")
        {
            at += 2
            guard !result.named.contains(where: { $0.name == name }) else {
                throw failure("the argument '\(name)' twice")
            }
            result.named.append((name, try expression()))
        } else {
            guard result.named.isEmpty, result.rest == nil else {
                throw failure("an argument without a name after one with a name")
            }
            result.positional.append(try expression())
        }
    }

    private mutating func filtersAndTests() throws(TemplateError) -> [Expression.Step] {
        var steps: [Expression.Step] = []
        while true {
            if peek == .symbol("|") {
                steps += try filterSteps()
            } else if take(.name("is")) {
                steps.append(try test())
            } else if take(.symbol("(")) {
                steps.append(.call(try arguments()))
            } else {
                return steps
            }
        }
    }

    /// `|name(arguments)` as often as it stands here; the caller takes care of the first `|`.
    mutating func filterSteps() throws(TemplateError) -> [Expression.Step] {
        var steps: [Expression.Step] = []
        repeat {
            at += 1
            let title = try name()
            steps.append(.filter(title, take(.symbol("(")) ? try arguments() : .init()))
        } while peek == .symbol("|")
        return steps
    }

    private mutating func test() throws(TemplateError) -> Expression.Step {
        let isNegated = take(.name("not"))
        let title = try name()
        var arguments = CallArguments()
        if take(.symbol("(")) {
            arguments = try self.arguments()
        } else if startsOperand {
            guard !isName("is") else { throw failure("two tests in a chain") }
            let value = try primary()
            let steps = try postfix()
            arguments.positional = [steps.isEmpty ? value : .steps(value, steps)]
        }
        return .test(title, arguments, isNegated: isNegated)
    }

    /// Whether a test's only argument follows without parentheses.
    private var startsOperand: Bool {
        switch peek {
        case .string, .int, .float, .symbol("["), .symbol("{"): true
        case .name(let name): !["and", "or", "else"].contains(name)
        default: false
        }
    }
}
