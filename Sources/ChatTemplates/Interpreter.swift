/// Runs a template's statements.
final class Interpreter {
    enum Flow { case next, breakLoop, continueLoop }

    let work = Work()
    var scope: Scope
    private(set) var output = MarkedText()
    private var line = 0
    /// Objects that a template may connect to rings; the rings are broken at the end.
    private var rings: [any Ring] = []

    private init(_ globals: [String: Value]) {
        let outer = Scope(parent: nil)
        outer.variables = globals
        scope = Scope(parent: outer)
    }

    static func render(
        _ statements: [Statement], globals: [String: Value]
    ) throws(TemplateError) -> MarkedText {
        let interpreter = Interpreter(globals)
        defer { for ring in interpreter.rings { ring.takeApart() } }
        do {
            _ = try interpreter.run(statements)
        } catch .evaluation(line: 0, let reason) {
            throw .evaluation(line: interpreter.line, reason: reason)
        }
        return interpreter.output
    }

    func watch(_ ring: any Ring) { rings.append(ring) }

    private func write(_ text: MarkedText) throws(TemplateError) {
        try work.charge(copying: text.units.count)
        guard output.units.count + text.units.count <= Work.textLimit else {
            throw .limit("\(Work.textLimit) characters of output")
        }
        output.units.append(contentsOf: text.units)
    }

    func run(_ statements: [Statement]) throws(TemplateError) -> Flow {
        try work.nested { () throws(TemplateError) in
            for statement in statements {
                line = statement.line
                try work.charge()
                let flow = try run(statement.kind)
                if flow != .next { return flow }
            }
            return .next
        }
    }

    private func run(_ statement: Statement.Kind) throws(TemplateError) -> Flow {
        switch statement {
        case .text(let text): try write(text)
        case .output(let expression):
            try write(try Representation(work: work).printed(try evaluate(expression)))
        case .condition(let branches, let otherwise):
            for branch in branches where try evaluate(branch.test).isTrue {
                return try run(branch.body)
            }
            return try run(otherwise)
        case .loop(let statement):
            try run(statement, over: try evaluate(statement.source), depth: 0)
        case .set(let target, let expression): try assign(try evaluate(expression), to: target)
        case .setBlock(let target, let filters, let body):
            try assign(try perform(filters, on: try captured(body)), to: target)
        case .macro(let definition):
            watch(scope)
            scope.variables[definition.name] = .macro(Macro(definition, scope))
        case .call(let definition, let function, let arguments):
            try call(function, arguments, caller: definition)
        case .filter(let filters, let body):
            let text = try perform(filters, on: try captured(body))
            try write(try Representation(work: work).printed(text))
        case .with(let values, let body): return try with(values, body)
        case .scope(let body):
            return try inner(Scope(parent: scope)) { () throws(TemplateError) in try run(body) }
        case .breakLoop: return .breakLoop
        case .continueLoop: return .continueLoop
        }
        return .next
    }

    private func with(
        _ values: [(Target, Expression)], _ body: [Statement]
    ) throws(TemplateError) -> Flow {
        let inside = Scope(parent: scope)
        for (target, expression) in values {
            let value = try evaluate(expression)
            try inner(inside) { () throws(TemplateError) in try assign(value, to: target) }
        }
        return try inner(inside) { () throws(TemplateError) in try run(body) }
    }

    private func call(
        _ function: Expression, _ arguments: CallArguments, caller: MacroDefinition
    ) throws(TemplateError) {
        watch(scope)
        var values = try evaluate(arguments)
        values.named.append(("caller", .macro(Macro(caller, scope))))
        let result = try call(try evaluate(function), values)
        try write(try Representation(work: work).printed(result))
    }

    // MARK: Scopes

    func inner<Result>(
        _ inside: Scope, _ body: () throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        let outside = scope
        scope = inside
        defer { scope = outside }
        return try body()
    }

    /// The text that `body` prints, in the scope `inside`.
    func captured(
        in inside: Scope, _ body: () throws(TemplateError) -> Void
    ) throws(TemplateError) -> MarkedText {
        let saved = output
        output = MarkedText()
        defer { output = saved }
        try inner(inside, body)
        return output
    }

    private func captured(_ body: [Statement]) throws(TemplateError) -> Value {
        .string(
            try captured(in: Scope(parent: scope)) { () throws(TemplateError) in
                _ = try run(body)
            })
    }

    func assign(_ value: Value, to target: Target) throws(TemplateError) {
        switch target {
        case .name(let name): scope.variables[name] = value
        case .member(let name, let member):
            guard case .namespace(let space) = scope.lookUp(name) else {
                throw .failure("'\(name)' is no namespace")
            }
            guard !member.hasPrefix("_") else { throw .failure("'\(member)' begins with '_'") }
            space.members[member] = value
        case .tuple(let targets):
            let parts = try value.elements()
            guard parts.count == targets.count else {
                throw .failure("\(value.kind) cannot be taken apart into \(targets.count) names")
            }
            for (target, part) in zip(targets, parts) { try assign(part, to: target) }
        }
    }

    // MARK: Loops

    /// - Parameter depth: How deep loops are nested that call themselves.
    func run(
        _ statement: LoopStatement, over source: Value, depth: Int
    ) throws(TemplateError) {
        let items = try matching(try source.elements(), statement)
        let state = LoopState(statement, items, depth: depth, scope)
        if statement.isRecursive { watch(state) }
        // As in Jinja, 'else' follows where no turn came to its end, be it by 'break'.
        var isFinished = false
        for (index, item) in items.enumerated() {
            try work.charge()
            state.index = index
            let inside = Scope(parent: scope)
            inside.variables["loop"] = .loop(state)
            let flow = try inner(inside) { () throws(TemplateError) in
                try assign(item, to: statement.target)
                return try run(statement.body)
            }
            if flow == .next { isFinished = true }
            if flow == .breakLoop { break }
        }
        guard !isFinished else { return }
        _ = try inner(Scope(parent: scope)) { () throws(TemplateError) in
            try run(statement.otherwise)
        }
    }

    private func matching(
        _ items: [Value], _ statement: LoopStatement
    ) throws(TemplateError) -> [Value] {
        try work.charge(elements: items.count)
        guard let filter = statement.filter else { return items }
        var kept: [Value] = []
        for item in items {
            let holds = try inner(Scope(parent: scope)) { () throws(TemplateError) in
                try assign(item, to: statement.target)
                return try evaluate(filter).isTrue
            }
            if holds { kept.append(item) }
        }
        return kept
    }
}

/// Something that may hold itself, by way of values.
protocol Ring: AnyObject {
    func takeApart()
}

/// Variables of a part of a template.
final class Scope: Ring {
    var variables: [String: Value] = [:]
    private let parent: Scope?

    init(parent: Scope?) { self.parent = parent }

    func lookUp(_ name: String) -> Value {
        var scope: Scope? = self
        while let next = scope {
            if let value = next.variables[name] { return value }
            scope = next.parent
        }
        return .undefined(name)
    }

    func takeApart() { variables = [:] }
}

extension Namespace: Ring {
    func takeApart() { members = [:] }
}

/// A macro with the variables that were around it.
final class Macro {
    let definition: MacroDefinition
    let scope: Scope
    var name: String { definition.name }

    init(_ definition: MacroDefinition, _ scope: Scope) {
        self.definition = definition
        self.scope = scope
    }
}

/// The variable `loop`.
final class LoopState: Ring {
    let statement: LoopStatement
    let items: [Value]
    let depth: Int
    private(set) var scope: Scope?
    var index = 0
    /// The last arguments of `changed`.
    var last: [Value]?

    init(_ statement: LoopStatement, _ items: [Value], depth: Int, _ scope: Scope) {
        self.statement = statement
        self.items = items
        self.depth = depth
        self.scope = statement.isRecursive ? scope : nil
    }

    func takeApart() { scope = nil }

    func attribute(_ name: String) -> Value {
        switch name {
        case "index": .int(index + 1)
        case "index0": .int(index)
        case "revindex": .int(items.count - index)
        case "revindex0": .int(items.count - index - 1)
        case "first": .bool(index == 0)
        case "last": .bool(index == items.count - 1)
        case "length": .int(items.count)
        case "depth": .int(depth + 1)
        case "depth0": .int(depth)
        case "previtem" where index > 0: items[index - 1]
        case "nextitem" where index + 1 < items.count: items[index + 1]
        case "cycle", "changed": .method(.loop(self), name)
        default: .undefined("loop." + name)
        }
    }
}
