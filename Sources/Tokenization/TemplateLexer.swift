/// A piece of a template's source.
enum TemplateToken: Equatable {
    /// Between the tags.
    case text(String)
    case outputBegin, outputEnd, blockBegin, blockEnd
    case name(String)
    case string(String)
    case int(Int)
    case float(Double)
    case symbol(String)
}

/// Cuts a template into tokens, with `trim_blocks` and `lstrip_blocks` on, as Hugging Face
/// transformers renders chat templates.
struct TemplateLexer {
    private let source: [Unicode.Scalar]
    private var at = 0
    private(set) var tokens: [(token: TemplateToken, line: Int)] = []

    static func tokens(
        of source: String
    ) throws(TemplateError) -> [(token: TemplateToken, line: Int)] {
        // Jinja drops one newline at the end of the source.
        var scalars = Array(source.unicodeScalars)
        if scalars.last == "\n" { scalars.removeLast() }
        var lexer = TemplateLexer(source: scalars)
        try lexer.run()
        return lexer.tokens
    }

    private init(source: [Unicode.Scalar]) { self.source = source }

    private var line: Int { 1 + source[..<min(at, source.count)].count { $0 == "\n" } }

    private func failure(_ reason: String) -> TemplateError {
        .syntax(line: line, reason: reason)
    }

    private func looks(at text: String, _ index: Int) -> Bool {
        let wanted = Array(text.unicodeScalars)
        return index + wanted.count <= source.count
            && source[index..<index + wanted.count].elementsEqual(wanted)
    }

    private mutating func run() throws(TemplateError) {
        var begin = 0
        while at < source.count {
            guard source[at] == "{", at + 1 < source.count,
                ["{", "%", "#"].contains(source[at + 1])
            else {
                at += 1
                continue
            }
            let kind = source[at + 1]
            let sign = at + 2 < source.count ? source[at + 2] : " "
            emitText(begin..<at, stripsAll: sign == "-", stripsLine: kind != "{" && sign != "+")
            at += sign == "-" || sign == "+" ? 3 : 2
            let trims: Bool
            if kind == "#" {
                trims = try skipComment()
            } else {
                let line = line
                tokens.append((kind == "{" ? .outputBegin : .blockBegin, line))
                trims = try tag(end: kind == "{" ? "}}" : "%}")
                tokens.append((kind == "{" ? .outputEnd : .blockEnd, line))
            }
            if trims {
                while at < source.count, source[at].properties.isWhitespace { at += 1 }
            } else if kind != "{", at < source.count, source[at] == "\n" {
                at += 1
            }
            begin = at
            if try takeRaw() { begin = at }
        }
        emitText(begin..<source.count, stripsAll: false, stripsLine: false)
    }

    private mutating func emitText(_ range: Range<Int>, stripsAll: Bool, stripsLine: Bool) {
        var end = range.upperBound
        if stripsAll {
            while end > range.lowerBound, source[end - 1].properties.isWhitespace { end -= 1 }
        } else if stripsLine {
            // Only where nothing but white space stands between the line's start and the tag.
            var start = end
            while start > range.lowerBound, source[start - 1] != "\n",
                source[start - 1].properties.isWhitespace
            { start -= 1 }
            if start == 0 || source[start - 1] == "\n" { end = start }
        }
        guard end > range.lowerBound else { return }
        var view = String.UnicodeScalarView()
        view.append(contentsOf: source[range.lowerBound..<end])
        tokens.append((.text(String(view)), line))
    }

    /// - Returns: Whether the white space behind is to go.
    private mutating func skipComment() throws(TemplateError) -> Bool {
        while at < source.count {
            if looks(at: "#}", at) {
                let trims = source[at - 1] == "-"
                at += 2
                return trims
            }
            at += 1
        }
        throw failure("a comment does not end")
    }

    /// After `{% raw %}`: everything up to `{% endraw %}` is text.
    private mutating func takeRaw() throws(TemplateError) -> Bool {
        guard tokens.suffix(3).map(\.token) == [.blockBegin, .name("raw"), .blockEnd] else {
            return false
        }
        tokens.removeLast(3)
        var end = at
        while end < source.count {
            if looks(at: "{%", end) {
                var name = end + 2
                while name < source.count, source[name] == "-" || source[name] == " " { name += 1 }
                if looks(at: "endraw", name) {
                    emitText(at..<end, stripsAll: false, stripsLine: true)
                    at = name + 6
                    while at < source.count, !looks(at: "%}", at) { at += 1 }
                    at += 2
                    if at < source.count, source[at] == "\n" { at += 1 }
                    return true
                }
            }
            end += 1
        }
        throw failure("'raw' does not end")
    }

    /// Tokens up to `end`.
    ///
    /// - Returns: Whether the white space behind is to go.
    private mutating func tag(end: String) throws(TemplateError) -> Bool {
        while true {
            while at < source.count, source[at].properties.isWhitespace { at += 1 }
            guard at < source.count else { throw failure("a tag does not end") }
            if looks(at: "-" + end, at) {
                at += 3
                return true
            }
            // A closing brace of a dictionary may stand right before the tag's own.
            if looks(at: end, at), end == "%}" || openBraces == 0 {
                at += 2
                return false
            }
            try token()
        }
    }

    private var openBraces: Int {
        var depth = 0
        for (token, _) in tokens.reversed() {
            if token == .outputBegin { return depth }
            if token == .symbol("{") { depth += 1 }
            if token == .symbol("}") { depth -= 1 }
        }
        return depth
    }

    private mutating func token() throws(TemplateError) {
        let scalar = source[at]
        let line = line
        if scalar == "\"" || scalar == "'" { return tokens.append((try string(scalar), line)) }
        if ("0"..."9").contains(scalar) { return tokens.append((try number(), line)) }
        if scalar == "_" || scalar.properties.isAlphabetic {
            let start = at
            while at < source.count,
                source[at] == "_" || source[at].properties.isAlphabetic
                    || ("0"..."9").contains(source[at])
            { at += 1 }
            var view = String.UnicodeScalarView()
            view.append(contentsOf: source[start..<at])
            return tokens.append((.name(String(view)), line))
        }
        for symbol in ["**", "//", "==", "!=", "<=", ">="] where looks(at: symbol, at) {
            at += 2
            return tokens.append((.symbol(symbol), line))
        }
        guard "+-*/%~<>=.,:|()[]{}".unicodeScalars.contains(scalar) else {
            throw failure("unexpected '\(scalar)'")
        }
        at += 1
        tokens.append((.symbol(String(scalar)), line))
    }

    private mutating func number() throws(TemplateError) -> TemplateToken {
        let start = at
        while at < source.count, ("0"..."9").contains(source[at]) { at += 1 }
        var isFloat = false
        if at + 1 < source.count, source[at] == ".", ("0"..."9").contains(source[at + 1]) {
            isFloat = true
            at += 1
            while at < source.count, ("0"..."9").contains(source[at]) { at += 1 }
        }
        var view = String.UnicodeScalarView()
        view.append(contentsOf: source[start..<at])
        if isFloat, let value = Double(String(view)) { return .float(value) }
        guard let value = Int(String(view)) else { throw failure("a number too large") }
        return .int(value)
    }

    private mutating func string(_ quote: Unicode.Scalar) throws(TemplateError) -> TemplateToken {
        at += 1
        var view = String.UnicodeScalarView()
        while at < source.count, source[at] != quote {
            guard source[at] == "\\", at + 1 < source.count else {
                view.append(source[at])
                at += 1
                continue
            }
            at += 2
            switch source[at - 1] {
            case "n": view.append("\n")
            case "r": view.append("\r")
            case "t": view.append("\t")
            case "u":
                var digits = String.UnicodeScalarView()
                digits.append(contentsOf: source[at..<min(at + 4, source.count)])
                guard let value = UInt32(String(digits), radix: 16),
                    let scalar = Unicode.Scalar(value)
                else { throw failure("a bad \\u escape") }
                view.append(scalar)
                at += 4
            case "\\", "'", "\"": view.append(source[at - 1])
            default:
                view.append("\\")
                view.append(source[at - 1])
            }
        }
        guard at < source.count else { throw failure("a string does not end") }
        at += 1
        return .string(String(view))
    }
}
