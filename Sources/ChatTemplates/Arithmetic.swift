#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

enum BinaryOperator: String {
    case add = "+"
    case subtract = "-"
    case multiply = "*"
    case divide = "/"
    case floorDivide = "//"
    case modulo = "%"
    case power = "**"
}

/// Python's operators. Whole numbers that do not fit into 64 bits are an error.
struct Arithmetic {
    let work: Work

    static let overflow = TemplateError.failure("a number too large")

    /// The result of an operation that reports overflow.
    static func checked(
        _ result: (partialValue: Int, overflow: Bool)
    ) throws(TemplateError) -> Int {
        guard !result.overflow else { throw overflow }
        return result.partialValue
    }

    static func magnitude(_ value: Int) throws(TemplateError) -> Int {
        value < 0 ? try checked((0).subtractingReportingOverflow(value)) : value
    }

    func sign(_ value: Value, isNegative: Bool) throws(TemplateError) -> Value {
        if let number = value.int {
            return .int(
                isNegative ? try Self.checked((0).subtractingReportingOverflow(number)) : number)
        }
        guard case .float(let number) = value else {
            throw .failure("'\(isNegative ? "-" : "+")' of \(value.kind)")
        }
        return .float(isNegative ? -number : number)
    }

    func apply(_ symbol: BinaryOperator, _ a: Value, _ b: Value) throws(TemplateError) -> Value {
        if a.isMarkup || b.isMarkup {
            throw .failure("'\(symbol.rawValue)' of a text marked safe is not supported")
        }
        switch (symbol, a, b) {
        case (.add, .string(let x), .string(let y)):
            try work.charge(copying: x.units.count + y.units.count)
            return .string(x + y)
        case (.add, .list(let x), .list(let y)):
            try work.charge(elements: x.values.count + y.values.count)
            return try .list(x.values + y.values)
        case (.add, .tuple(let x), .tuple(let y)):
            try work.charge(elements: x.values.count + y.values.count)
            return try .tuple(x.values + y.values)
        case (.modulo, .string(let format), _):
            let arguments = if case .tuple(let items) = b { items.values } else { [b] }
            return .string(
                try PercentFormat(work: work, arguments: arguments, members: b).text(format))
        case (.multiply, _, _):
            if let product = try repetition(a, b) { return product }
            if let product = try repetition(b, a) { return product }
        default: break
        }
        return try numbers(symbol, a, b)
    }

    /// A text, list or tuple so many times.
    private func repetition(_ a: Value, _ b: Value) throws(TemplateError) -> Value? {
        guard let times = b.int.map({ max(0, $0) }) else { return nil }
        func total(_ count: Int) throws(TemplateError) -> Int {
            try Self.checked(count.multipliedReportingOverflow(by: times))
        }
        func repeated(_ values: [Value]) throws(TemplateError) -> [Value] {
            try work.charge(elements: try total(values.count))
            guard !values.isEmpty else { return [] }
            return Array((0..<times).map { _ in values }.joined())
        }
        switch a {
        case .string(let text):
            try work.charge(copying: try total(text.units.count))
            return .string(text.isEmpty ? text : text.repeated(times))
        case .list(let items): return try .list(try repeated(items.values))
        case .tuple(let items): return try .tuple(try repeated(items.values))
        default: return nil
        }
    }

    private func numbers(
        _ symbol: BinaryOperator, _ a: Value, _ b: Value
    ) throws(TemplateError) -> Value {
        guard let x = a.double, let y = b.double else {
            for value in [a, b] where value.isUndefined {
                throw .failure("\(value.kind) is used as a number")
            }
            throw .failure("'\(symbol.rawValue)' of \(a.kind) and \(b.kind)")
        }
        if [.divide, .floorDivide, .modulo].contains(symbol), y == 0 {
            throw .failure("division by zero")
        }
        guard let i = a.int, let j = b.int else { return .float(try fractions(symbol, x, y)) }
        switch symbol {
        case .add: return .int(try Self.checked(i.addingReportingOverflow(j)))
        case .subtract: return .int(try Self.checked(i.subtractingReportingOverflow(j)))
        case .multiply: return .int(try Self.checked(i.multipliedReportingOverflow(by: j)))
        case .divide:
            guard abs(x) < 0x1p53, abs(y) < 0x1p53 else { throw Self.overflow }
            return .float(x / y)
        case .floorDivide, .modulo:
            let quotient = try Self.checked(i.dividedReportingOverflow(by: j))
            let remainder = i - quotient * j
            let isBelow = remainder != 0 && (remainder < 0) != (j < 0)
            if symbol == .modulo { return .int(isBelow ? remainder + j : remainder) }
            return .int(isBelow ? quotient - 1 : quotient)
        case .power where j >= 0: return .int(try Self.power(i, j))
        case .power:
            guard i != 0 else { throw .failure("division by zero") }
            return .float(pow(x, y))
        }
    }

    private static func power(_ base: Int, _ exponent: Int) throws(TemplateError) -> Int {
        var (result, square, left) = (1, base, exponent)
        while left > 0 {
            if left & 1 == 1 {
                result = try checked(result.multipliedReportingOverflow(by: square))
            }
            left >>= 1
            if left > 0 { square = try checked(square.multipliedReportingOverflow(by: square)) }
        }
        return result
    }

    private func fractions(
        _ symbol: BinaryOperator, _ x: Double, _ y: Double
    ) throws(TemplateError) -> Double {
        switch symbol {
        case .add: return x + y
        case .subtract: return x - y
        case .multiply: return x * y
        case .divide: return x / y
        case .floorDivide, .modulo:
            var remainder = x.truncatingRemainder(dividingBy: y)
            var quotient = (x - remainder) / y
            if remainder == 0 {
                remainder = Double(signOf: y, magnitudeOf: 0)
            } else if (remainder < 0) != (y < 0) {
                remainder += y
                quotient -= 1
            }
            if symbol == .modulo { return remainder }
            guard quotient != 0 else { return Double(signOf: x / y, magnitudeOf: 0) }
            let floor = quotient.rounded(.down)
            return quotient - floor > 0.5 ? floor + 1 : floor
        case .power:
            if x == 0, y < 0 { throw .failure("division by zero") }
            let result = pow(x, y)
            guard result.isFinite || !x.isFinite || !y.isFinite else { throw Self.overflow }
            return result
        }
    }
}
