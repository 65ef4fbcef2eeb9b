/// How one value is written into a field: `[[fill]align][sign][0][width][,][.precision][type]`, the
/// part of Python's format specifications that templates use.
struct FieldFormat {
    var fill: UInt32 = 32
    var align: Unicode.Scalar?
    var sign: Unicode.Scalar = "-"
    var width = 0
    var groups = false
    var precision: Int?
    var type: Unicode.Scalar?

    /// Widths and precisions beyond it are refused.
    static let mostDigits = 100

    init() {}

    /// Reads a specification of `format`.
    init(_ text: MarkedText) throws(TemplateError) {
        var rest = text.plain[...].map { Unicode.Scalar($0) ?? " " }[...]
        if rest.count > 1, "<>^=".unicodeScalars.contains(rest[1]) {
            fill = rest[0].value
            align = rest[1]
            rest = rest.dropFirst(2)
        } else if let first = rest.first, "<>^=".unicodeScalars.contains(first) {
            align = rest.removeFirst()
        }
        if let first = rest.first, "+- ".unicodeScalars.contains(first) {
            sign = rest.removeFirst()
        }
        if rest.first == "0" {
            rest.removeFirst()
            if align == nil { (fill, align) = (48, "=") }
        }
        width = try Self.digits(&rest) ?? 0
        if rest.first == "," {
            rest.removeFirst()
            groups = true
        }
        if rest.first == "." {
            rest.removeFirst()
            precision = try Self.digits(&rest)
            if precision == nil { throw Self.unknown(text) }
        }
        type = rest.popFirst()
        guard rest.isEmpty else { throw Self.unknown(text) }
    }

    private static func unknown(_ text: MarkedText) -> TemplateError {
        .failure("the format '\(text.text)' is not supported")
    }

    static func digits(_ rest: inout ArraySlice<Unicode.Scalar>) throws(TemplateError) -> Int? {
        var value: Int?
        while let digit = rest.first, ("0"..."9").contains(digit) {
            value = (value ?? 0) * 10 + Int(digit.value - 48)
            guard value ?? 0 <= mostDigits else { throw .failure("a field this wide") }
            rest.removeFirst()
        }
        return value
    }

    func text(_ value: Value, work: Work) throws(TemplateError) -> MarkedText {
        switch value {
        case .string(let text), .markup(let text):
            guard type == nil || type == "s", align != "=", sign == "-", !groups else {
                throw .failure("a format of numbers for a string")
            }
            return padded(precision.map { text[0..<min($0, text.units.count)] } ?? text, "<")
        case .float(let number): return try padded(number: number, isWhole: false)
        case .bool where type == nil:
            guard isPlain else { throw .failure("a format for a truth value") }
            return try Representation(work: work).printed(value)
        case .bool, .int:
            guard let number = value.int else { break }
            if type == nil || type == "d" || type == "x" || type == "X" {
                guard precision == nil else { throw .failure("a precision for a whole number") }
                let radix = type == "x" || type == "X" ? 16 : 10
                let digits = String(number.magnitude, radix: radix, uppercase: type == "X")
                guard radix == 10 || !groups else { throw .failure("',' with '\(type ?? "x")'") }
                return padded(digits: digits, isNegative: number < 0)
            }
            guard let exact = Double(exactly: number) else { throw Arithmetic.overflow }
            return try padded(number: exact, isWhole: true)
        default: break
        }
        guard isPlain else { throw .failure("a format for \(value.kind)") }
        return try Representation(work: work).printed(value)
    }

    private var isPlain: Bool {
        width == 0 && align == nil && sign == "-" && precision == nil && type == nil && !groups
    }

    private func padded(number: Double, isWhole: Bool) throws(TemplateError) -> MarkedText {
        guard number.isFinite else { throw .failure("a format for a number that is not finite") }
        let digits: String
        switch type {
        case "f", "F": digits = NumberText.fixed(number.magnitude, decimals: precision ?? 6)
        case "%": digits = NumberText.fixed(number.magnitude * 100, decimals: precision ?? 6) + "%"
        case nil where precision == nil && !isWhole: digits = NumberText.shortest(number.magnitude)
        default: throw .failure("the format '\(type ?? "g")' of numbers is not supported")
        }
        return padded(digits: digits, isNegative: number.sign == .minus)
    }

    private func padded(digits: String, isNegative: Bool) -> MarkedText {
        var digits = digits
        if groups {
            let whole = digits.prefix { ("0"..."9").contains($0) }
            var grouped = ""
            for (index, digit) in whole.enumerated() {
                if index > 0, (whole.count - index) % 3 == 0 { grouped += "," }
                grouped.append(digit)
            }
            digits = grouped + digits.dropFirst(whole.count)
        }
        let mark = isNegative ? "-" : sign == "-" ? "" : String(sign)
        guard align == "=" else { return padded(MarkedText(mark + digits), ">") }
        let missing = max(0, width - mark.count - digits.count)
        let filler = MarkedText(units: [fill]).repeated(missing)
        return MarkedText(mark) + filler + MarkedText(digits)
    }

    private func padded(_ text: MarkedText, _ standard: Unicode.Scalar) -> MarkedText {
        let missing = max(0, width - text.units.count)
        let left =
            switch align ?? standard {
            case "<": 0
            case "^": missing / 2
            default: missing
            }
        let filler = MarkedText(units: [fill])
        return filler.repeated(left) + text + filler.repeated(missing - left)
    }
}

/// `'%s: %d' % arguments`.
struct PercentFormat {
    let work: Work
    var arguments: [Value]
    /// The dictionary in which names in parentheses are looked up.
    let members: Value

    func text(_ format: MarkedText) throws(TemplateError) -> MarkedText {
        var result = MarkedText()
        var next = 0
        var usesNames = false
        var rest = format.units[...]
        while let unit = rest.popFirst() {
            guard unit & ~MarkedText.userBit == 0x25 else {
                result.units.append(unit)
                continue
            }
            if rest.first.map({ $0 & ~MarkedText.userBit }) == 0x25 {
                result.units.append(unit)
                rest.removeFirst()
                continue
            }
            var field = try Field(&rest)
            let value: Value
            if let name = field.name {
                guard case .dict(let mapping) = members, let member = mapping[.string(name)] else {
                    throw .failure("'%(\(name.text))': there is no such value")
                }
                value = member
                usesNames = true
            } else {
                guard next < arguments.count else {
                    throw .failure("'%' with too few values for its format")
                }
                value = arguments[next]
                next += 1
            }
            let piece = try field.text(value, work: work)
            try work.charge(scalars: result.units.count / 64 + piece.units.count)
            result.units += piece.units
            guard result.units.count <= Work.textLimit else { throw .limit("a text this long") }
        }
        let isOptional =
            switch members {
            case .dict, .list: true
            default: false
            }
        guard next == arguments.count || usesNames || isOptional else {
            throw .failure("'%' with more values than its format takes")
        }
        return result
    }

    /// `%[(name)][flags][width][.precision]type`
    private struct Field {
        var name: MarkedText?
        private var format = FieldFormat()
        private var type: Unicode.Scalar = "s"

        init(_ units: inout ArraySlice<UInt32>) throws(TemplateError) {
            if units.first.map({ $0 & ~MarkedText.userBit }) == 0x28 {
                guard let end = units.firstIndex(where: { $0 & ~MarkedText.userBit == 0x29 })
                else { throw .failure("'%(' without ')'") }
                name = MarkedText(units: units[(units.startIndex + 1)..<end])
                units = units[(end + 1)...]
            }
            var rest = units.prefix(16).map { MarkedText.scalar($0) }[...]
            let count = rest.count
            flags: while let flag = rest.first {
                switch flag {
                case "-": format.align = "<"
                case "0": if format.align == nil { (format.fill, format.align) = (48, "=") }
                case "+", " ": format.sign = flag
                default: break flags
                }
                rest.removeFirst()
            }
            format.width = try FieldFormat.digits(&rest) ?? 0
            if rest.first == "." {
                rest.removeFirst()
                format.precision = try FieldFormat.digits(&rest) ?? 0
            }
            guard let letter = rest.popFirst() else { throw .failure("'%' ends its format") }
            type = letter
            units = units.dropFirst(count - rest.count)
        }

        mutating func text(_ value: Value, work: Work) throws(TemplateError) -> MarkedText {
            var format = format
            switch type {
            case "s", "r":
                let printing = Representation(work: work)
                let text =
                    type == "s" ? try printing.printed(value) : try printing.represented(value)
                format.sign = "-"
                format.fill = 32
                if format.align != "<" { format.align = ">" }
                return try format.text(.string(text), work: work)
            case "d", "i":
                guard
                    let number = value.int
                        ?? value.double.flatMap({ Int(exactly: $0.rounded(.towardZero)) })
                else { throw .failure("'%d' of \(value.kind)") }
                guard format.precision == nil else { throw .failure("'%.d' is not supported") }
                return try format.text(.int(number), work: work)
            case "f", "F":
                guard let number = value.double else { throw .failure("'%f' of \(value.kind)") }
                format.type = "f"
                return try format.text(.float(number), work: work)
            case "x", "X":
                guard value.int != nil, format.precision == nil else {
                    throw .failure("'%x' of \(value.kind)")
                }
                format.type = type
                return try format.text(value, work: work)
            default: throw .failure("'%\(type)' is not supported")
            }
        }
    }
}
