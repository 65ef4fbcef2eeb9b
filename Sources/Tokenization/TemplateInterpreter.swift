/// Runs a template's statements. What a template may cost is bounded: a file from a stranger must
/// not hang the program.
struct TemplateInterpreter {
    private enum Flow { case next, breakLoop, continueLoop }

    private static let stepLimit = 200_000
    private static let outputLimit = 1 << 22
    private static let depthLimit = 100

    private var scopes: [[String: TemplateValue]]
    private var output = TemplateString()
    private let budget = Budget()
    private var depth = 0

    /// Work done, shared with the interpreters that run macros.
    private final class Budget { var steps = 0 }

    init(globals: [String: TemplateValue]) { scopes = [globals, [:]] }

    static func render(
        _ nodes: [TemplateNode], globals: [String: TemplateValue]
    ) throws(TemplateError) -> TemplateString {
        var interpreter = TemplateInterpreter(globals: globals)
        _ = try interpreter.run(nodes)
        return interpreter.output
    }

    private mutating func step() throws(TemplateError) {
        budget.steps += 1
        guard budget.steps < Self.stepLimit else { throw .limit("\(Self.stepLimit) steps") }
    }

    private mutating func write(_ text: TemplateString) throws(TemplateError) {
        guard output.units.count + text.units.count <= Self.outputLimit else {
            throw .limit("\(Self.outputLimit) characters of output")
        }
        output.units.append(contentsOf: text.units)
    }

    private mutating func run(_ nodes: [TemplateNode]) throws(TemplateError) -> Flow {
        for node in nodes {
            try step()
            let flow = try run(node)
            if flow != .next { return flow }
        }
        return .next
    }

    private mutating func run(_ node: TemplateNode) throws(TemplateError) -> Flow {
        switch node {
        case .text(let text): try write(TemplateString(text))
        case .output(let expression): try write(try evaluate(expression).printed)
        case .condition(let branches, let otherwise):
            for branch in branches where try evaluate(branch.test).isTrue {
                return try run(branch.body)
            }
            return try run(otherwise)
        case .loop(let names, let source, let filter, let body, let otherwise):
            let items = try matching(try items(of: try evaluate(source)), names, filter)
            if items.isEmpty { return try run(otherwise) }
            try loop(items, names, body)
        case .set(let target, let expression):
            let value = try evaluate(expression)
            guard target.count == 2 else {
                scopes[scopes.count - 1][target[0]] = value
                break
            }
            guard case .namespace(let space) = lookUp(target[0]) else {
                throw .evaluation("'\(target[0])' is no namespace")
            }
            space.members[target[1]] = value
        case .setBlock(let name, let body):
            scopes[scopes.count - 1][name] = .string(try captured(body))
        case .macro(let name, let parameters, let body):
            scopes[scopes.count - 1][name] = macro(name, parameters, body)
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .next
    }

    /// What `body` prints.
    private mutating func captured(_ body: [TemplateNode]) throws(TemplateError) -> TemplateString {
        let saved = output
        output = TemplateString()
        _ = try run(body)
        let text = output
        output = saved
        return text
    }

    private func macro(
        _ name: String, _ parameters: [(name: String, value: TemplateExpression?)],
        _ body: [TemplateNode]
    ) -> TemplateValue {
        let outer = scopes
        return .callable { (positional, named) throws(TemplateError) in
            var inner = self
            inner.scopes = outer + [[:]]
            inner.scopes[outer.count - 1][name] = .undefined(name)
            inner.output = TemplateString()
            inner.depth += 1
            guard inner.depth < Self.depthLimit else { throw .limit("nested calls") }
            for (index, parameter) in parameters.enumerated() {
                var value = TemplateValue.undefined(parameter.name)
                if index < positional.count {
                    value = positional[index]
                } else if let given = named[parameter.name] {
                    value = given
                } else if let standard = parameter.value {
                    value = try inner.evaluate(standard)
                }
                inner.scopes[inner.scopes.count - 1][parameter.name] = value
            }
            _ = try inner.run(body)
            return .string(inner.output)
        }
    }

    // MARK: Loops

    private func items(of value: TemplateValue) throws(TemplateError) -> [TemplateValue] {
        switch value {
        case .list(let values): return values
        case .dict(let members): return members.map { .string($0.key) }
        case .string(let text): return text.units.map { .string(TemplateString(units: [$0])) }
        case .undefined: return []
        default: throw .evaluation("\(value.represented) is nothing to loop over")
        }
    }

    private mutating func bind(_ item: TemplateValue, to names: [String]) throws(TemplateError) {
        if names.count == 1 {
            scopes[scopes.count - 1][names[0]] = item
            return
        }
        guard case .list(let parts) = item, parts.count == names.count else {
            throw .evaluation("cannot unpack \(item.represented) into \(names.count) names")
        }
        for (name, part) in zip(names, parts) { scopes[scopes.count - 1][name] = part }
    }

    private mutating func matching(
        _ items: [TemplateValue], _ names: [String], _ filter: TemplateExpression?
    ) throws(TemplateError) -> [TemplateValue] {
        guard let filter else { return items }
        var kept: [TemplateValue] = []
        for item in items {
            scopes.append([:])
            defer { scopes.removeLast() }
            try bind(item, to: names)
            if try evaluate(filter).isTrue { kept.append(item) }
        }
        return kept
    }

    private mutating func loop(
        _ items: [TemplateValue], _ names: [String], _ body: [TemplateNode]
    ) throws(TemplateError) {
        for (index, item) in items.enumerated() {
            try step()
            scopes.append([:])
            defer { scopes.removeLast() }
            try bind(item, to: names)
            var members: [(key: TemplateString, value: TemplateValue)] = [
                (TemplateString("index"), .int(index + 1)),
                (TemplateString("index0"), .int(index)),
                (TemplateString("revindex"), .int(items.count - index)),
                (TemplateString("revindex0"), .int(items.count - index - 1)),
                (TemplateString("first"), .bool(index == 0)),
                (TemplateString("last"), .bool(index == items.count - 1)),
                (TemplateString("length"), .int(items.count)),
            ]
            if index > 0 { members.append((TemplateString("previtem"), items[index - 1])) }
            if index + 1 < items.count {
                members.append((TemplateString("nextitem"), items[index + 1]))
            }
            scopes[scopes.count - 1]["loop"] = .dict(members)
            if try run(body) == .breakLoop { break }
        }
    }

    // MARK: Expressions

    private func lookUp(_ name: String) -> TemplateValue {
        for scope in scopes.reversed() {
            if let value = scope[name] { return value }
        }
        return .undefined(name)
    }

    private mutating func evaluate(
        _ expression: TemplateExpression
    ) throws(TemplateError) -> TemplateValue {
        try step()
        let value = try valueOf(expression)
        if case .string(let text) = value, text.units.count > Self.outputLimit {
            throw .limit("a string of \(text.units.count) characters")
        }
        return value
    }

    private mutating func valueOf(
        _ expression: TemplateExpression
    ) throws(TemplateError) -> TemplateValue {
        switch expression {
        case .value(let value): return value
        case .name(let name): return lookUp(name)
        case .attribute(let base, let name):
            return try TemplateOperations.attribute(try evaluate(base), name)
        case .item(let base, let index):
            return try TemplateOperations.item(try evaluate(base), try evaluate(index))
        case .slice(let base, let begin, let end, let stride):
            return try TemplateOperations.slice(
                try evaluate(base), try optional(begin), try optional(end), try optional(stride))
        case .call(let callee, let arguments):
            let (positional, named) = try evaluate(arguments)
            guard case .callable(let function) = try evaluate(callee) else {
                throw .evaluation("something that is no function is called")
            }
            return try function(positional, named)
        case .filter(let base, let name, let arguments):
            let (positional, named) = try evaluate(arguments)
            return try TemplateFilters.apply(name, try evaluate(base), positional, named)
        case .test(let base, let name, let arguments, let negated):
            let (positional, _) = try evaluate(arguments)
            let result = try TemplateFilters.test(name, try evaluate(base), positional)
            return .bool(result != negated)
        case .unary(let symbol, let operand):
            return try TemplateOperations.unary(symbol, try evaluate(operand))
        case .binary("and", let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? try evaluate(right) : value
        case .binary("or", let left, let right):
            let value = try evaluate(left)
            return value.isTrue ? value : try evaluate(right)
        case .binary(let symbol, let left, let right):
            return try TemplateOperations.binary(symbol, try evaluate(left), try evaluate(right))
        case .choice(let value, let test, let otherwise):
            if try evaluate(test).isTrue { return try evaluate(value) }
            return try otherwise.map { other throws(TemplateError) in try evaluate(other) }
                ?? .undefined("else")
        case .list(let parts): return .list(try evaluate(all: parts))
        case .dict(let members):
            var result: [(key: TemplateString, value: TemplateValue)] = []
            for (key, value) in members {
                result.append((try evaluate(key).printed, try evaluate(value)))
            }
            return .dict(result)
        }
    }

    private mutating func optional(
        _ expression: TemplateExpression?
    ) throws(TemplateError) -> TemplateValue? {
        guard let expression else { return nil }
        return try evaluate(expression)
    }

    private mutating func evaluate(
        all expressions: [TemplateExpression]
    ) throws(TemplateError) -> [TemplateValue] {
        var values: [TemplateValue] = []
        for expression in expressions { values.append(try evaluate(expression)) }
        return values
    }

    private mutating func evaluate(
        _ arguments: TemplateExpression.Arguments
    ) throws(TemplateError) -> ([TemplateValue], [String: TemplateValue]) {
        var named: [String: TemplateValue] = [:]
        for (name, expression) in arguments.named { named[name] = try evaluate(expression) }
        return (try evaluate(all: arguments.positional), named)
    }
}
