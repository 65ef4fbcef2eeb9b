/// Calls of macros, functions and methods.
extension Interpreter {
    func call(_ callee: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        try work.charge(read: arguments)
        switch callee {
        case .macro(let macro): return try call(macro, arguments)
        case .function(let name): return try function(name, arguments)
        case .method(let base, let name):
            try work.charge(read: base)
            return try method(base, name, arguments)
        case .loop(let state): return try call(state, arguments)
        default: throw .failure("\(callee.kind) is called, which is no function")
        }
    }

    private func call(_ macro: Macro, _ arguments: Arguments) throws(TemplateError) -> Value {
        let definition = macro.definition
        let inside = Scope(parent: macro.scope)
        var named = arguments.named
        // A parameter that is not given is undefined for the defaults before it.
        for (name, _) in definition.parameters { inside.variables[name] = .undefined(name) }
        var defaults: [(String, Expression)] = []
        for (index, (name, standard)) in definition.parameters.enumerated() {
            let place = named.firstIndex { $0.name == name }
            if index < arguments.positional.count {
                guard place == nil else { throw .failure("'\(macro.name)' gets '\(name)' twice") }
                inside.variables[name] = arguments.positional[index]
            } else if let place {
                inside.variables[name] = named.remove(at: place).value
            } else if let standard {
                defaults.append((name, standard))
            }
        }
        try bindRest(macro, arguments.positional, &named, inside)
        for (name, standard) in defaults {
            inside.variables[name] = try inner(inside) { () throws(TemplateError) in
                try evaluate(standard)
            }
        }
        return .string(
            try captured(in: inside) { () throws(TemplateError) in _ = try run(definition.body) })
    }

    /// `caller`, `varargs` and `kwargs`, which a macro gets where it mentions them.
    private func bindRest(
        _ macro: Macro, _ positional: [Value], _ named: inout [(name: String, value: Value)],
        _ inside: Scope
    ) throws(TemplateError) {
        let definition = macro.definition
        if definition.mentions.contains("caller") {
            let place = named.firstIndex { $0.name == "caller" }
            inside.variables["caller"] =
                place.map { named.remove(at: $0).value }
                ?? .undefined("caller")
        }
        if definition.mentions.contains("kwargs") {
            var rest = Mapping()
            for (name, value) in named { try rest.set(.text(name), to: value) }
            inside.variables["kwargs"] = .dict(rest)
        } else if let first = named.first {
            throw .failure("the macro '\(macro.name)' takes no argument '\(first.name)'")
        }
        let rest = positional.dropFirst(definition.parameters.count)
        if definition.mentions.contains("varargs") {
            inside.variables["varargs"] = try .tuple(Array(rest))
        } else if !rest.isEmpty {
            throw .failure(
                "the macro '\(macro.name)' takes at most \(definition.parameters.count) arguments")
        }
    }

    /// `loop(...)` inside of a recursive loop.
    private func call(_ state: LoopState, _ arguments: Arguments) throws(TemplateError) -> Value {
        let source = try arguments.unnamed(for: "loop", ["items"], required: 1)[0] ?? .none
        guard let outside = state.scope else { throw .failure("'loop' is not 'recursive'") }
        return .string(
            try captured(in: outside) { () throws(TemplateError) in
                try run(state.statement, over: source, depth: state.depth + 1)
            })
    }
}
