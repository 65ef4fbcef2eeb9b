/// Numbers and strings, as Python writes them.
extension Lexer {
    /// Digits with single `_` between them.
    private mutating func digits(_ radix: Int = 10) -> String {
        var result = ""
        while let scalar = scalar(at) {
            if scalar == "_", !result.isEmpty, let next = self.scalar(at + 1),
                Self.isDigit(next, radix)
            {
                at += 1
                continue
            }
            guard Self.isDigit(scalar, radix) else { break }
            result.unicodeScalars.append(scalar)
            at += 1
        }
        return result
    }

    private static func isDigit(_ scalar: Unicode.Scalar, _ radix: Int) -> Bool {
        scalar.isASCII && Character(scalar).hexDigitValue.map { $0 < radix } ?? false
    }

    mutating func number() throws(TemplateError) -> Token {
        for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)]
        where at + 2 < source.count && text(at..<at + 2).lowercased() == prefix {
            let first = source[at + 2] == "_" ? at + 3 : at + 2
            guard let digit = scalar(first), Self.isDigit(digit, radix) else { continue }
            at = first
            return try whole(digits(radix), radix)
        }
        // After a '.', digits are an index, never the beginning of a fraction.
        let isIndex = at > 0 && source[at - 1] == "."
        var digits = digits()
        let isWhole = digits
        if !isIndex, scalar(at) == ".", let next = scalar(at + 1), Self.isDigit(next, 10) {
            at += 1
            digits += "." + self.digits()
        }
        if !isIndex, let letter = scalar(at), letter == "e" || letter == "E" {
            let sign = scalar(at + 1).flatMap { $0 == "-" || $0 == "+" ? String($0) : nil } ?? ""
            let first = at + 1 + sign.unicodeScalars.count
            if let next = scalar(first), Self.isDigit(next, 10) {
                at = first
                digits += "e" + sign + self.digits()
            }
        }
        if digits == isWhole { return try whole(digits, 10) }
        guard let value = Double(digits) else { throw failure("a bad number") }
        return .float(value)
    }

    private mutating func whole(_ digits: String, _ radix: Int) throws(TemplateError) -> Token {
        guard radix != 10 || digits.first != "0" || digits.allSatisfy({ $0 == "0" }) else {
            throw failure("a number that begins with 0")
        }
        guard let value = Int(digits, radix: radix) else { throw failure("a number too large") }
        return .int(value)
    }

    mutating func string(_ quote: Unicode.Scalar) throws(TemplateError) -> String {
        at += 1
        var view = String.UnicodeScalarView()
        while at < source.count, source[at] != quote {
            if source[at] == "\\" {
                at += 1
                try escape(&view)
            } else {
                view.append(source[at])
                at += 1
            }
        }
        guard at < source.count else { throw failure("a string does not end") }
        at += 1
        return String(view)
    }

    /// The character of an escape after a backslash.
    private mutating func escape(_ view: inout String.UnicodeScalarView) throws(TemplateError) {
        guard let scalar = scalar(at) else { throw failure("a string does not end") }
        at += 1
        switch scalar {
        case "\n": break
        case "\\", "'", "\"": view.append(scalar)
        case "a": view.append("\u{7}")
        case "b": view.append("\u{8}")
        case "f": view.append("\u{c}")
        case "n": view.append("\n")
        case "r": view.append("\r")
        case "t": view.append("\t")
        case "v": view.append("\u{b}")
        case "x": view.append(try codePoint(2...2, radix: 16))
        case "u": view.append(try codePoint(4...4, radix: 16))
        case "U": view.append(try codePoint(8...8, radix: 16))
        case "0"..."7":
            at -= 1
            view.append(try codePoint(1...3, radix: 8))
        case "N": throw failure("the escape '\\N' is not supported")
        default:
            guard scalar.isASCII else { throw failure("a bad escape '\\\(scalar)'") }
            view.append("\\")
            view.append(scalar)
        }
    }

    private mutating func codePoint(
        _ count: ClosedRange<Int>, radix: Int
    ) throws(TemplateError) -> Unicode.Scalar {
        let start = at
        while at - start < count.upperBound, let next = scalar(at), Self.isDigit(next, radix) {
            at += 1
        }
        guard at - start >= count.lowerBound,
            let scalar = UInt32(text(start..<at), radix: radix).flatMap(Unicode.Scalar.init)
        else { throw failure("a bad escape of a character") }
        return scalar
    }
}
