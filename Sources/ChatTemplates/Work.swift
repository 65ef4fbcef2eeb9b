/// What a template may cost. Parser, interpreter, filters and methods all charge here, so that a
/// template from a stranger can neither hang the program nor exhaust its memory or its stack.
///
/// One unit is one step of the interpreter, 16 scalars that are looked at, 64 that are copied, or 2
/// elements.
final class Work {
    static let unitLimit = 2_000_000
    /// Scalars of one string or of the output.
    static let textLimit = 1 << 22
    /// Elements of one list or dictionary.
    static let elementLimit = 1 << 20
    /// Nesting of expressions, statements, calls and values.
    static let depthLimit = 100

    private var left = unitLimit
    private var depth = 0

    func charge(_ units: Int = 1) throws(TemplateError) {
        left -= units
        guard left > 0 else { throw .limit("\(Self.unitLimit) steps") }
    }

    func charge(scalars: Int) throws(TemplateError) {
        guard scalars <= Self.textLimit else { throw .limit("a text of \(scalars) characters") }
        try charge(1 + scalars / 16)
    }

    func charge(copying scalars: Int) throws(TemplateError) {
        guard scalars <= Self.textLimit else { throw .limit("a text of \(scalars) characters") }
        try charge(1 + scalars / 64)
    }

    func charge(elements: Int) throws(TemplateError) {
        guard elements <= Self.elementLimit else { throw .limit("a list of \(elements) elements") }
        try charge(1 + elements / 2)
    }

    func charge(made value: Value) throws(TemplateError) {
        guard let text = value.string else { return try charge(read: value) }
        try charge(copying: text.units.count)
    }

    /// Charges for looking at `value`, not at what its elements hold.
    func charge(read value: Value) throws(TemplateError) {
        switch value {
        case .string(let text), .markup(let text): try charge(scalars: text.units.count)
        case .list(let items), .tuple(let items), .view(_, let items):
            try charge(elements: items.values.count)
        case .iterator(let iterator): try charge(elements: iterator.left.count)
        case .dict(let members): try charge(elements: members.count)
        default: break
        }
    }

    /// Runs `body` one level deeper.
    func nested<Result>(
        _ body: () throws(TemplateError) -> Result
    ) throws(TemplateError) -> Result {
        depth += 1
        defer { depth -= 1 }
        guard depth < Self.depthLimit else { throw .limit("\(Self.depthLimit) nested levels") }
        try charge()
        return try body()
    }
}
