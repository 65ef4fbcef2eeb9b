/// A JSON value. Strings are UTF-8 bytes, since Swift compares strings by canonical equivalence and
/// vocabularies hold distinct spellings that are canonically equal.
package enum JSONValue {
    case null
    case bool(Bool)
    case number(Double)
    case string([UInt8])
    case array([JSONValue])
    case object([Member])

    package struct Member {
        package var name: [UInt8]
        package var value: JSONValue

        package init(name: [UInt8], value: JSONValue) { (self.name, self.value) = (name, value) }
    }

    /// The member `name` of an object; the last of several, as in Python.
    package subscript(name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name.elementsEqual(name.utf8) }?.value
    }

    package var string: String? {
        guard case .string(let bytes) = self else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    package var bytes: [UInt8]? {
        guard case .string(let bytes) = self else { return nil }
        return bytes
    }

    package var double: Double? {
        guard case .number(let value) = self else { return nil }
        return value
    }

    /// A whole number of at most 2^53.
    package var int: Int? {
        guard case .number(let value) = self, abs(value) <= 0x1p53 else { return nil }
        return Int(exactly: value)
    }

    package var bool: Bool? {
        guard case .bool(let value) = self else { return nil }
        return value
    }

    package var array: [JSONValue]? {
        guard case .array(let values) = self else { return nil }
        return values
    }

    package var members: [Member]? {
        guard case .object(let members) = self else { return nil }
        return members
    }

    package var isNull: Bool {
        if case .null = self { return true }
        return false
    }
}

extension JSONOutput {
    /// The same value, to be printed again.
    package init(_ value: JSONValue) {
        switch value {
        case .null: self = .null
        case .bool(let value): self = .bool(value)
        case .number(let number): self = value.int.map { .int($0) } ?? .number(number)
        case .string(let bytes): self = .string(String(decoding: bytes, as: UTF8.self))
        case .array(let values): self = .array(values.map { JSONOutput($0) })
        case .object(let members):
            self = .object(
                members.map { (String(decoding: $0.name, as: UTF8.self), JSONOutput($0.value)) })
        }
    }
}

/// A strict JSON parser (RFC 8259) over bytes, with a limit on depth.
package struct JSONParser {
    package struct Failure: Error {
        package var offset: Int
        package var reason: String
    }

    private let bytes: [UInt8]
    private var at = 0
    private static let depthLimit = 64
    private static let digits = UInt8(ascii: "0")...UInt8(ascii: "9")

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The value that all of `bytes` spell.
    package static func parse(_ bytes: [UInt8]) throws(Failure) -> JSONValue {
        do {
            _ = try UTF8Span(validating: bytes.span)
        } catch {
            throw Failure(offset: error.byteOffsets.lowerBound, reason: "text that is not UTF-8")
        }
        var parser = JSONParser(bytes)
        if bytes.starts(with: [0xef, 0xbb, 0xbf]) { parser.at = 3 }
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.at == bytes.count else { throw parser.failure("more after the value") }
        return value
    }

    private func failure(_ reason: String) -> Failure { Failure(offset: at, reason: reason) }

    private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipSpace() {
        while let byte = peek, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
            at += 1
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard peek == byte else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(Failure) -> JSONValue {
        guard depth < Self.depthLimit else { throw failure("nested too deeply") }
        skipSpace()
        switch peek {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case .some(let byte) where byte == UInt8(ascii: "-") || Self.digits.contains(byte):
            return try number()
        case nil: throw failure("the text ends inside a value")
        default: throw failure("a value expected")
        }
    }

    private mutating func word(
        _ text: StaticString, _ value: JSONValue
    ) throws(Failure) -> JSONValue {
        for scalar in text.description.utf8 {
            guard take(scalar) else { throw failure("'\(text)' expected") }
        }
        return value
    }

    private mutating func object(depth: Int) throws(Failure) -> JSONValue {
        at += 1
        var members: [JSONValue.Member] = []
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipSpace()
            guard peek == UInt8(ascii: "\"") else { throw failure("a name expected") }
            let name = try string()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw failure("':' expected") }
            members.append(.init(name: name, value: try value(depth: depth + 1)))
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw failure("',' or '}' expected") }
        }
    }

    private mutating func array(depth: Int) throws(Failure) -> JSONValue {
        at += 1
        var values: [JSONValue] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(values) }
        while true {
            values.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(values) }
            guard take(UInt8(ascii: ",")) else { throw failure("',' or ']' expected") }
        }
    }

    private mutating func number() throws(Failure) -> JSONValue {
        let start = at
        _ = take(UInt8(ascii: "-"))
        let digits = at
        try digitRun()
        if bytes[digits] == UInt8(ascii: "0"), at > digits + 1 { throw failure("a leading zero") }
        if take(UInt8(ascii: ".")) { try digitRun() }
        if peek == UInt8(ascii: "e") || peek == UInt8(ascii: "E") {
            at += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            try digitRun()
        }
        guard at - start <= 64,
            let value = Double(String(decoding: bytes[start..<at], as: UTF8.self))
        else { throw failure("an impossible number") }
        return .number(value)
    }

    private mutating func digitRun() throws(Failure) {
        let start = at
        while let byte = peek, Self.digits.contains(byte) { at += 1 }
        guard at > start else { throw failure("a digit expected") }
    }

    private mutating func string() throws(Failure) -> [UInt8] {
        at += 1
        var result: [UInt8] = []
        while true {
            let start = at
            while at < bytes.count, bytes[at] != 0x22, bytes[at] != 0x5c, bytes[at] >= 0x20 {
                at += 1
            }
            result.append(contentsOf: bytes[start..<at])
            guard let byte = peek else { throw failure("the text ends inside a string") }
            if byte == 0x22 {
                at += 1
                return result
            }
            guard byte == 0x5c else { throw failure("a control character in a string") }
            at += 1
            try escape(into: &result)
        }
    }

    private mutating func escape(into result: inout [UInt8]) throws(Failure) {
        guard let byte = peek else { throw failure("the text ends inside a string") }
        at += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): result.append(byte)
        case UInt8(ascii: "b"): result.append(8)
        case UInt8(ascii: "f"): result.append(12)
        case UInt8(ascii: "n"): result.append(10)
        case UInt8(ascii: "r"): result.append(13)
        case UInt8(ascii: "t"): result.append(9)
        case UInt8(ascii: "u"):
            var code = try hex4()
            if (0xd800...0xdbff).contains(code), at + 1 < bytes.count, bytes[at] == 0x5c,
                bytes[at + 1] == UInt8(ascii: "u")
            {
                let mark = at
                at += 2
                let low = try hex4()
                if (0xdc00...0xdfff).contains(low) {
                    code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
                } else {
                    at = mark
                }
            }
            // A lone surrogate is no character.
            let scalar = Unicode.Scalar(code) ?? "\u{fffd}"
            result.append(contentsOf: String(Character(scalar)).utf8)
        default: throw failure("an unknown escape")
        }
    }

    private mutating func hex4() throws(Failure) -> UInt32 {
        var code: UInt32 = 0
        for _ in 0..<4 {
            let digit: UInt8
            switch peek {
            case .some(let byte) where Self.digits.contains(byte): digit = byte - 0x30
            case .some(let byte) where (0x61...0x66).contains(byte | 0x20):
                digit = (byte | 0x20) - 0x57
            default: throw failure("four hexadecimal digits expected")
            }
            code = code << 4 | UInt32(digit)
            at += 1
        }
        return code
    }
}
