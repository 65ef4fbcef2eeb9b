/// Values of expressions.
extension Interpreter {
    func evaluate(_ expression: Expression) throws(TemplateError) -> Value {
        try work.nested { () throws(TemplateError) in try value(of: expression) }
    }

    private func value(of expression: Expression) throws(TemplateError) -> Value {
        switch expression {
        case .literal(let literal): return Self.value(of: literal)
        case .name(let name): return scope.lookUp(name)
        case .steps(let base, let steps): return try perform(steps, on: try evaluate(base))
        case .not(let operand): return .bool(try !evaluate(operand).isTrue)
        case .sign(let isNegative, let operand):
            return try Arithmetic(work: work).sign(try evaluate(operand), isNegative: isNegative)
        case .chain(let first, let rest):
            var value = try evaluate(first)
            for (symbol, operand) in rest {
                value = try Arithmetic(work: work).apply(symbol, value, try evaluate(operand))
            }
            return value
        case .concatenation(let parts): return try concatenation(try evaluate(all: parts))
        case .comparison(let first, let rest): return try comparison(first, rest)
        case .all(let parts): return try first(of: parts, whereTrue: false)
        case .any(let parts): return try first(of: parts, whereTrue: true)
        case .choice(let test, let value, let otherwise):
            if try evaluate(test).isTrue { return try evaluate(value) }
            guard let otherwise else { return .undefined("else") }
            return try evaluate(otherwise)
        case .list(let parts): return try .list(try evaluate(all: parts))
        case .tuple(let parts): return try .tuple(try evaluate(all: parts))
        case .dict(let members):
            var mapping = Mapping()
            for (key, value) in members {
                try mapping.set(try evaluate(key), to: try evaluate(value))
            }
            return .dict(mapping)
        }
    }

    private static func value(of literal: Expression.Literal) -> Value {
        switch literal {
        case .none: .none
        case .bool(let value): .bool(value)
        case .int(let value): .int(value)
        case .float(let value): .float(value)
        case .string(let value): .string(value)
        }
    }

    /// The first part that is true or false, else the last one.
    private func first(
        of parts: [Expression], whereTrue wanted: Bool
    ) throws(TemplateError) -> Value {
        var value = Value.none
        for part in parts {
            value = try evaluate(part)
            if value.isTrue == wanted { break }
        }
        return value
    }

    private func concatenation(_ parts: [Value]) throws(TemplateError) -> Value {
        guard !parts.contains(where: \.isMarkup) else {
            throw .failure("'~' of a text marked safe is not supported")
        }
        var result = MarkedText()
        for part in parts {
            let text = try Representation(work: work).printed(part)
            try work.charge(copying: text.units.count)
            result.units += text.units
            guard result.units.count <= Work.textLimit else { throw .limit("a text this long") }
        }
        return .string(result)
    }

    private func comparison(
        _ first: Expression, _ rest: [(String, Expression)]
    ) throws(TemplateError) -> Value {
        var left = try evaluate(first)
        for (symbol, operand) in rest {
            let right = try evaluate(operand)
            guard try compare(left, symbol, right) else { return .bool(false) }
            left = right
        }
        return .bool(true)
    }

    func compare(
        _ left: Value, _ symbol: String, _ right: Value
    ) throws(TemplateError) -> Bool {
        let comparison = Comparison(work: work)
        switch symbol {
        case "==": return try comparison.equal(left, right)
        case "!=": return try !comparison.equal(left, right)
        case "<": return try comparison.isLess(left, right)
        case ">": return try comparison.isLess(right, left)
        case "<=": return try comparison.isLessOrEqual(left, right)
        case ">=": return try comparison.isLessOrEqual(right, left)
        case "in": return try comparison.contains(right, left)
        default: return try !comparison.contains(right, left)
        }
    }

    func evaluate(all expressions: [Expression]) throws(TemplateError) -> [Value] {
        var values: [Value] = []
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    func evaluate(_ arguments: CallArguments) throws(TemplateError) -> Arguments {
        var result = Arguments(positional: try evaluate(all: arguments.positional))
        for (name, expression) in arguments.named {
            result.named.append((name, try evaluate(expression)))
        }
        if let rest = arguments.rest { result.positional += try evaluate(rest).elements() }
        guard let members = arguments.members else { return result }
        guard case .dict(let mapping) = try evaluate(members) else {
            throw .failure("'**' of something that is no dictionary")
        }
        for (key, value) in zip(mapping.keys, mapping.values) {
            guard let name = key.string?.text, !result.named.contains(where: { $0.name == name })
            else { throw .failure("'**' with a key that is no name, or a name twice") }
            result.named.append((name, value))
        }
        return result
    }

    /// Charges for the result of each step; steps charge for the values that they read.
    func perform(
        _ steps: [Expression.Step], on start: Value
    ) throws(TemplateError) -> Value {
        var value = start
        for step in steps {
            value = try perform(step, on: value)
            try work.charge(made: value)
        }
        return value
    }

    private func perform(_ step: Expression.Step, on value: Value) throws(TemplateError) -> Value {
        switch step {
        case .attribute(let name): return try attribute(value, name)
        case .item(let index): return try item(value, try evaluate(index))
        case .slice(let begin, let end, let stride):
            return try slice(
                value, try begin.map(evaluate), try end.map(evaluate), try stride.map(evaluate))
        case .call(let arguments): return try call(value, try evaluate(arguments))
        case .filter(let name, let arguments):
            return try filter(name, value, try evaluate(arguments))
        case .test(let name, let arguments, let isNegated):
            return .bool(try test(name, value, try evaluate(arguments)) != isNegated)
        }
    }
}
