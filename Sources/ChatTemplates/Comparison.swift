/// Equality and order as Python has them.
struct Comparison {
    let work: Work

    func equal(_ a: Value, _ b: Value) throws(TemplateError) -> Bool {
        try work.charge()
        switch (a, b) {
        case (.none, .none), (.undefined, .undefined): return true
        case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)):
            guard x.values.count == y.values.count else { return false }
            for (left, right) in zip(x.values, y.values) where try !equal(left, right) {
                return false
            }
            return true
        case (.dict(let x), .dict(let y)): return try equal(x, y)
        case (.namespace(let x), .namespace(let y)): return x === y
        case (.iterator(let x), .iterator(let y)): return x === y
        case (.view, .view), (.method, .method), (.macro, .macro), (.loop, .loop):
            throw .failure("comparing \(a.kind) with \(b.kind) is not supported")
        default: break
        }
        if let x = a.string, let y = b.string {
            try work.charge(scalars: min(x.units.count, y.units.count))
            return x == y
        }
        return Self.numberOrder(a, b) == 0
    }

    private func equal(_ x: Mapping, _ y: Mapping) throws(TemplateError) -> Bool {
        guard x.count == y.count else { return false }
        for (key, value) in zip(x.keys, x.values) {
            guard let other = Key(key).flatMap({ y[$0] }), try equal(value, other) else {
                return false
            }
        }
        return true
    }

    /// -1, 0 or 1; nil if one of two numbers is no number or they are none.
    private static func numberOrder(_ a: Value, _ b: Value) -> Int? {
        if let x = a.int, let y = b.int { return (x > y ? 1 : 0) - (x < y ? 1 : 0) }
        guard let x = a.double, let y = b.double, !x.isNaN, !y.isNaN else { return nil }
        return (x > y ? 1 : 0) - (x < y ? 1 : 0)
    }

    /// -1, 0 or 1; nil if neither is smaller and they differ (not a number).
    private func order(_ a: Value, _ b: Value) throws(TemplateError) -> Int? {
        try work.charge()
        if let x = a.string, let y = b.string {
            try work.charge(scalars: min(x.units.count, y.units.count))
            let (left, right) = (x.plain, y.plain)
            return left == right ? 0 : left.lexicographicallyPrecedes(right) ? -1 : 1
        }
        switch (a, b) {
        case (.list(let x), .list(let y)), (.tuple(let x), .tuple(let y)):
            for (left, right) in zip(x.values, y.values) where try !equal(left, right) {
                return try order(left, right)
            }
            return (x.values.count - y.values.count).signum()
        default: break
        }
        guard a.double != nil, b.double != nil else {
            throw .failure("\(a.kind) and \(b.kind) have no order")
        }
        return Self.numberOrder(a, b)
    }

    func isLess(_ a: Value, _ b: Value) throws(TemplateError) -> Bool { try order(a, b) == -1 }

    func isLessOrEqual(_ a: Value, _ b: Value) throws(TemplateError) -> Bool {
        try order(a, b).map { $0 <= 0 } ?? false
    }

    /// Whether `item in container`.
    func contains(_ container: Value, _ item: Value) throws(TemplateError) -> Bool {
        switch container {
        case .dict(let members):
            guard let key = Key(item) else { throw .failure("\(item.kind) cannot be a key") }
            return members[key] != nil
        case .string(let text), .markup(let text):
            guard let part = item.string else { throw .failure("\(item.kind) in a string") }
            try work.charge(scalars: text.units.count)
            return text.contains(part)
        case .iterator(let iterator):
            while let next = iterator.next() {
                if try equal(next, item) { return true }
            }
            return false
        case .namespace: throw .failure("'in' a namespace")
        default:
            for element in try container.elements() {
                if try equal(element, item) { return true }
            }
            return false
        }
    }

    /// A stable sort, as Python's.
    func sorted(
        _ entries: [(key: Value, value: Value)], descending: Bool
    ) throws(TemplateError) -> [(key: Value, value: Value)] {
        guard entries.count > 1 else { return entries }
        let middle = entries.count / 2
        let left = try sorted(Array(entries[..<middle]), descending: descending)
        let right = try sorted(Array(entries[middle...]), descending: descending)
        try work.charge(elements: entries.count)
        var merged: [(key: Value, value: Value)] = []
        var at = 0
        for entry in left {
            while at < right.count,
                try descending
                    ? isLess(entry.key, right[at].key) : isLess(right[at].key, entry.key)
            {
                merged.append(right[at])
                at += 1
            }
            merged.append(entry)
        }
        return merged + right[at...]
    }
}
