#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Numbers as Python writes and reads them.
enum NumberText {
    /// The shortest digits that read back as the same number.
    static func shortest(_ value: Double) -> String {
        let text = "\(value)"
        // Python turns to exponents at 1e16, Swift a little later.
        guard value.isFinite, abs(value) >= 1e16, !text.contains("e") else { return text }
        var digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        if digits.hasSuffix(".0") { digits.removeLast(2) }
        let exponent = digits.count - 1
        while digits.count > 1, digits.last == "0" { digits.removeLast() }
        let rest = digits.dropFirst()
        return (value < 0 ? "-" : "") + digits.prefix(1) + (rest.isEmpty ? "" : "." + rest)
            + "e+\(exponent)"
    }

    static func hexadecimal(_ value: UInt32, digits: Int) -> String {
        let text = String(value, radix: 16)
        return String(repeating: "0", count: max(0, digits - text.count)) + text
    }

    /// `decimals` digits after the point, correctly rounded.
    static func fixed(_ value: Double, decimals: Int) -> String {
        if value.isNaN { return "nan" }
        guard value.isFinite else { return value < 0 ? "-inf" : "inf" }
        var bytes = [CChar](repeating: 0, count: 400 + decimals)
        let count = unsafe withVaList([Int32(decimals), value]) {
            unsafe vsnprintf(&bytes, bytes.count, "%.*f", $0)
        }
        return String(decoding: bytes[..<Int(count)].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The result of Python's `int(text, base)`; nil if it fails. Base 0 reads `0x`, `0o` and `0b`.
    static func int(_ text: MarkedText, base: Int) throws(TemplateError) -> Int? {
        guard base == 0 || (2...36).contains(base) else { throw .failure("the base \(base)") }
        var digits = ascii(text)[...]
        let isNegative = digits.first == "-"
        if isNegative || digits.first == "+" { digits.removeFirst() }
        var radix = base
        let prefix = digits.prefix(2).lowercased()
        for (name, value) in [("0x", 16), ("0o", 8), ("0b", 2)]
        where prefix == name && (base == 0 || base == value) {
            radix = value
            digits.removeFirst(2)
            if digits.first == "_" { digits.removeFirst() }
        }
        if radix == 0 { radix = 10 }
        guard hasSingleUnderscores(digits),
            digits.allSatisfy({ $0 == "_" || $0.hexDigitOrLetter < radix })
        else { return nil }
        if base == 0, radix == 10, digits.count > 1, digits.first == "0",
            digits.contains(where: { $0 != "0" && $0 != "_" })
        {
            return nil
        }
        let plain = (isNegative ? "-" : "") + digits.filter { $0 != "_" }
        guard let value = Int(plain, radix: radix) else { throw Arithmetic.overflow }
        return value
    }

    /// The result of Python's `float(text)`; nil if it fails.
    static func float(_ text: MarkedText) -> Double? {
        let characters = ascii(text)
        var rest = characters[...]
        if rest.first == "-" || rest.first == "+" { rest.removeFirst() }
        if ["inf", "infinity", "nan"].contains(rest.lowercased()) { return Double(characters) }
        func digits() -> Bool {
            let run = rest.prefix { $0 == "_" || ("0"..."9").contains($0) }
            rest = rest.dropFirst(run.count)
            return hasSingleUnderscores(run)
        }
        var isNumber = rest.first != "." && digits()
        if rest.first == "." {
            rest.removeFirst()
            let hasDigits = rest.first.map { ("0"..."9").contains($0) } ?? false
            if hasDigits { isNumber = digits() }
        }
        if isNumber, rest.first == "e" || rest.first == "E" {
            rest.removeFirst()
            if rest.first == "-" || rest.first == "+" { rest.removeFirst() }
            isNumber = digits()
        }
        guard isNumber, rest.isEmpty else { return nil }
        return Double(characters.filter { $0 != "_" })
    }

    /// Without white space around it, decimal digits of any script in ASCII.
    private static func ascii(_ text: MarkedText) -> String {
        var result = ""
        for unit in text.trimmed(nil).units {
            let scalar = MarkedText.scalar(unit)
            if scalar.value >= 128, scalar.properties.numericType == .decimal,
                let value = scalar.properties.numericValue
            {
                result += String(Int(value))
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func hasSingleUnderscores(_ digits: Substring) -> Bool {
        !digits.isEmpty && digits.first != "_" && digits.last != "_" && !digits.contains("__")
    }
}

extension Character {
    /// The value of an ASCII digit or letter as a digit; 99 for others.
    fileprivate var hexDigitOrLetter: Int {
        switch self {
        case "0"..."9": Int(asciiValue ?? 0) - 48
        case "a"..."z": Int(asciiValue ?? 0) - 87
        case "A"..."Z": Int(asciiValue ?? 0) - 55
        default: 99
        }
    }
}
