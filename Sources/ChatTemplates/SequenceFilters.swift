/// Filters of lists and dictionaries.
extension Interpreter {
    /// Those that give one value.
    func elementFilter(
        _ name: String, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value? {
        switch name {
        case "length", "count":
            _ = try arguments.bound(to: name, [])
            return .int(try value.count())
        case "default", "d":
            let bound = try arguments.bound(to: name, ["default_value", "boolean"])
            let isMissing = value.isUndefined || bound.flag(1) && !value.isTrue
            return isMissing ? bound[0] ?? .text("") : value
        case "attr":
            let name = try arguments.bound(to: name, ["name"], required: 1).text(0).text
            if case .dict = value { return .undefined(name) }
            return try attribute(value, name)
        case "first":
            _ = try arguments.bound(to: name, [])
            if case .iterator(let iterator) = value {
                return iterator.next() ?? .undefined("first")
            }
            return try value.elements().first ?? .undefined("first")
        case "last":
            _ = try arguments.bound(to: name, [])
            if case .iterator = value { throw .failure("'last' of \(value.kind)") }
            return try value.elements().last ?? .undefined("last")
        case "join":
            let bound = try arguments.bound(to: name, ["d", "attribute"])
            var parts: [MarkedText] = []
            for element in try value.elements() {
                let part = try bound[1].map { path throws(TemplateError) in
                    try item(element, path: path)
                }
                parts.append(try printed(part ?? element))
            }
            return .string(try joined(parts, by: try printed(bound[0] ?? .text(""))))
        case "sum":
            let bound = try arguments.bound(to: name, ["attribute", "start"])
            var total = bound[1] ?? .int(0)
            guard total.double != nil else { throw .failure("'sum' from \(total.kind)") }
            for element in try value.elements() {
                let part = try key(of: element, bound[0], keepsCase: true)
                total = try Arithmetic(work: work).apply(.add, total, part)
            }
            return total
        case "min", "max":
            let bound = try arguments.bound(to: name, ["case_sensitive", "attribute"])
            let entries = try keyed(value, bound[1], keepsCase: bound.flag(0))
            let sorted = try Comparison(work: work).sorted(entries, descending: name == "max")
            return sorted.first?.value ?? .undefined(name)
        default: return nil
        }
    }

    /// Those that give a list.
    func sequenceFilter(
        _ name: String, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value? {
        switch name {
        case "list":
            _ = try arguments.bound(to: name, [])
            return try .list(try value.elements())
        case "reverse":
            _ = try arguments.bound(to: name, [])
            if case .string(let text) = value { return .string(text.reversed()) }
            let reversed = Array(try value.elements().reversed())
            if case .iterator = value { return try .list(reversed) }
            if value.isUndefined { return try .list([]) }
            return try .iterator(reversed)
        case "items":
            _ = try arguments.bound(to: name, [])
            if value.isUndefined { return try .iterator([]) }
            guard case .dict(let members) = value else {
                throw .failure("'items' of \(value.kind)")
            }
            return try .iterator(try members.pairs())
        case "dictsort": return try dictionarySorted(value, arguments)
        case "sort":
            let bound = try arguments.bound(to: name, ["reverse", "case_sensitive", "attribute"])
            let paths = bound[2]?.string?.split(by: MarkedText(",")).map { Value.string($0) }
            let entries = try keyed(
                value, all: paths ?? [bound[2] ?? .none], keepsCase: bound.flag(1))
            let sorted = try Comparison(work: work).sorted(entries, descending: bound.flag(0))
            return try .list(sorted.map(\.value))
        case "unique": return try unique(value, arguments)
        case "batch": return try batches(value, arguments)
        case "slice": return try slices(value, arguments)
        default: return nil
        }
    }

    // MARK: Keys

    /// The key for sorting and comparing: an attribute, or the element itself.
    private func key(
        of element: Value, _ path: Value?, keepsCase: Bool
    ) throws(TemplateError) -> Value {
        var key = element
        if let path, !path.isNone { key = try item(element, path: path) }
        guard !keepsCase, let text = key.string else { return key }
        try work.charge(scalars: text.units.count)
        return .string(text.lowercased())
    }

    private func keyed(
        _ value: Value, _ path: Value?, keepsCase: Bool
    ) throws(TemplateError) -> [(key: Value, value: Value)] {
        var entries: [(key: Value, value: Value)] = []
        for element in try value.elements() {
            entries.append((try key(of: element, path, keepsCase: keepsCase), element))
        }
        return entries
    }

    /// By several attributes, the first one first.
    private func keyed(
        _ value: Value, all paths: [Value], keepsCase: Bool
    ) throws(TemplateError) -> [(key: Value, value: Value)] {
        var entries: [(key: Value, value: Value)] = []
        for element in try value.elements() {
            var keys: [Value] = []
            for path in paths { keys.append(try key(of: element, path, keepsCase: keepsCase)) }
            entries.append((try .list(keys), element))
        }
        return entries
    }

    private func dictionarySorted(
        _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value {
        let bound = try arguments.bound(to: "dictsort", ["case_sensitive", "by", "reverse"])
        let place = try bound.optionalText(1)?.text ?? "key"
        guard case .dict(let members) = value, ["key", "value"].contains(place) else {
            throw .failure("'dictsort' of \(value.kind) by '\(place)'")
        }
        let entries = try keyed(
            try .list(try members.pairs()), .int(place == "key" ? 0 : 1), keepsCase: bound.flag(0))
        let sorted = try Comparison(work: work).sorted(entries, descending: bound.flag(2))
        return try .list(sorted.map(\.value))
    }

    private func unique(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try arguments.bound(to: "unique", ["case_sensitive", "attribute"])
        var seen: Set<Key> = []
        var result: [Value] = []
        for (key, element) in try keyed(value, bound[1], keepsCase: bound.flag(0)) {
            guard let hashed = Key(key) else { throw .failure("'unique' of \(key.kind)") }
            if seen.insert(hashed).inserted { result.append(element) }
        }
        return try .iterator(result)
    }

    // MARK: Parts

    private func batches(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try arguments.bound(to: "batch", ["linecount", "fill_with"], required: 1)
        let count = try bound.int(0, default: 0)
        guard count > 0 else { throw .failure("'batch' of \(count)") }
        let values = try value.elements()
        var result: [Value] = []
        for begin in stride(from: 0, to: values.count, by: min(count, values.count + 1)) {
            var part = Array(values[begin..<begin + min(count, values.count - begin)])
            if let filler = bound[1], !filler.isNone {
                try work.charge(elements: count)
                part += Array(repeating: filler, count: count - part.count)
            }
            result.append(try .list(part))
        }
        return try .iterator(result)
    }

    private func slices(_ value: Value, _ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try arguments.bound(to: "slice", ["slices", "fill_with"], required: 1)
        let count = try bound.int(0, default: 0)
        guard count > 0 else { throw .failure("'slice' into \(count)") }
        try work.charge(elements: count)
        let values = try value.elements()
        let (length, longer) = (values.count / count, values.count % count)
        var result: [Value] = []
        var begin = 0
        for index in 0..<count {
            let end = begin + length + (index < longer ? 1 : 0)
            var part = Array(values[begin..<end])
            if index >= longer, let filler = bound[1], !filler.isNone { part.append(filler) }
            result.append(try .list(part))
            begin = end
        }
        return try .iterator(result)
    }

    // MARK: Choosing

    func choosingFilter(
        _ name: String, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Value? {
        guard ["map", "select", "reject", "selectattr", "rejectattr"].contains(name) else {
            return nil
        }
        // As in Jinja, nothing is chosen from none.
        guard value.isTrue else { return try .iterator([]) }
        let elements = try value.elements()
        if name == "map" { return try .iterator(try mapped(elements, arguments)) }
        var arguments = arguments
        var path: Value?
        if name.hasSuffix("attr") {
            guard !arguments.positional.isEmpty else {
                throw .failure("'\(name)' needs an attribute")
            }
            path = arguments.positional.removeFirst()
        }
        let title = arguments.positional.isEmpty ? nil : arguments.positional.removeFirst()
        guard title != nil || arguments.named.isEmpty else {
            throw .failure("'\(name)' with names but without a test")
        }
        var result: [Value] = []
        for element in elements {
            try work.charge()
            let subject = try path.map { path throws(TemplateError) in
                try item(element, path: path)
            }
            let holds = try holds(title, subject ?? element, arguments)
            if holds == name.hasPrefix("select") { result.append(element) }
        }
        return try .iterator(result)
    }

    private func holds(
        _ title: Value?, _ value: Value, _ arguments: Arguments
    ) throws(TemplateError) -> Bool {
        guard let title else { return value.isTrue }
        guard let name = title.string?.text else { throw .failure("a test named \(title.kind)") }
        return try test(name, value, arguments)
    }

    private func mapped(
        _ elements: [Value], _ arguments: Arguments
    ) throws(TemplateError) -> [Value] {
        var result: [Value] = []
        guard !arguments.positional.isEmpty else {
            let bound = try Arguments(named: arguments.named)
                .bound(to: "map", ["attribute", "default"], required: 1)
            for element in elements {
                result.append(try item(element, path: bound[0] ?? .none, default: bound[1]))
            }
            return result
        }
        guard let name = arguments.positional[0].string?.text else {
            throw .failure("'map' by \(arguments.positional[0].kind)")
        }
        var rest = arguments
        rest.positional.removeFirst()
        for element in elements { result.append(try filter(name, element, rest)) }
        return result
    }

    /// Where a part of the path leads nowhere, the default takes its place.
    private func item(
        _ base: Value, path: Value, default standard: Value?
    ) throws(TemplateError) -> Value {
        guard let standard, !standard.isNone else { return try item(base, path: path) }
        var value = base
        for part in try parts(of: path) {
            value = try item(value, part)
            if value.isUndefined { value = standard }
        }
        return value
    }
}
