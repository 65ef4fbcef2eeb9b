/// Jinja's tests. Those that are not here are refused by name.
extension Interpreter {
    func test(
        _ name: String, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Bool {
        if let symbol = Self.comparisons[name] {
            let other = try arguments.bound(to: name, ["other"], required: 1)[0] ?? .none
            return try compare(value, symbol, other)
        }
        if let isMet = Self.simpleTests[name] {
            _ = try arguments.bound(to: name, [])
            return isMet(value)
        }
        switch name {
        case "odd", "even", "divisibleby":
            let isParity = name != "divisibleby"
            let divisor =
                isParity ? .int(2) : try arguments.bound(to: name, ["num"], required: 1)[0] ?? .none
            if isParity { _ = try arguments.bound(to: name, []) }
            guard value.double != nil else { throw .failure("'\(name)' of \(value.kind)") }
            let remainder = try Arithmetic(work: work).apply(.modulo, value, divisor)
            return remainder.double == (name == "odd" ? 1 : 0)
        case "sameas":
            let other = try arguments.bound(to: name, ["other"], required: 1)[0] ?? .none
            switch (value, other) {
            case (.none, _), (_, .none): return value.isNone && other.isNone
            case (.bool(let a), .bool(let b)): return a == b
            case (.bool, _), (_, .bool): return false
            default: throw .failure("'sameas' of \(value.kind) is not supported")
            }
        case "lower", "upper":
            _ = try arguments.bound(to: name, [])
            let text = try Representation(work: work).printed(value)
            return name == "lower" ? text.isLowercase : text.isUppercase
        case "filter", "test":
            throw .failure("the test '\(name)' is not supported")
        default: throw .failure("the test '\(name)' is not supported")
        }
    }

    private static let comparisons = [
        "==": "==", "eq": "==", "equalto": "==", "!=": "!=", "ne": "!=", ">": ">", "gt": ">",
        "greaterthan": ">", ">=": ">=", "ge": ">=", "<": "<", "lt": "<", "lessthan": "<",
        "<=": "<=", "le": "<=", "in": "in",
    ]

    private static let simpleTests: [String: @Sendable (Value) -> Bool] = [
        "defined": { !$0.isUndefined },
        "undefined": { $0.isUndefined },
        "none": { $0.isNone },
        "string": { $0.string != nil },
        "escaped": { $0.isMarkup },
        "boolean": { if case .bool = $0 { true } else { false } },
        "true": { if case .bool(true) = $0 { true } else { false } },
        "false": { if case .bool(false) = $0 { true } else { false } },
        "integer": { if case .int = $0 { true } else { false } },
        "float": { if case .float = $0 { true } else { false } },
        "number": { $0.double != nil },
        "mapping": { if case .dict = $0 { true } else { false } },
        "iterable": { value in
            switch value {
            case .none, .bool, .int, .float, .namespace, .function, .method, .macro: false
            default: true
            }
        },
        "sequence": { value in
            switch value {
            case .undefined, .string, .markup, .list, .tuple, .dict: true
            case .view(let name, _): name.hasPrefix("range(")
            default: false
            }
        },
        "callable": { value in
            switch value {
            case .undefined, .function, .method, .macro, .loop: true
            default: false
            }
        },
    ]
}
