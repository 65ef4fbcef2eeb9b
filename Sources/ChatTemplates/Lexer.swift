/// A piece of a template's source.
enum Token: Equatable {
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
/// transformers renders chat templates. Takes linear time.
struct Lexer {
    let source: [Unicode.Scalar]
    var at = 0
    private(set) var tokens: [(token: Token, line: Int)] = []
    /// Whether the last token ended a line.
    private var startsLine = true
    private var counted = 0
    private var line = 1

    static func tokens(of source: String) throws(TemplateError) -> [(token: Token, line: Int)] {
        var lexer = Lexer(source: normalized(source))
        try lexer.run()
        return lexer.tokens
    }

    /// With every line ending in `\n`, except the last, which loses one such end.
    private static func normalized(_ source: String) -> [Unicode.Scalar] {
        var result: [Unicode.Scalar] = []
        var previous: Unicode.Scalar?
        for scalar in source.unicodeScalars {
            if scalar != "\n" || previous != "\r" { result.append(scalar == "\r" ? "\n" : scalar) }
            previous = scalar
        }
        if result.last == "\n" { result.removeLast() }
        return result
    }

    private init(source: [Unicode.Scalar]) { self.source = source }

    /// The line of `at`; counting goes on where it stopped.
    private mutating func currentLine() -> Int {
        while counted < min(at, source.count) {
            if source[counted] == "\n" { line += 1 }
            counted += 1
        }
        return line
    }

    mutating func failure(_ reason: String) -> TemplateError {
        .syntax(line: currentLine(), reason: reason)
    }

    mutating func append(_ token: Token) { tokens.append((token, currentLine())) }

    func scalar(_ index: Int) -> Unicode.Scalar? {
        source.indices.contains(index) ? source[index] : nil
    }

    func looks(at text: [Unicode.Scalar], _ index: Int) -> Bool {
        index + text.count <= source.count
            && source[index..<index + text.count].elementsEqual(text)
    }

    private static let raw: [Unicode.Scalar] = ["r", "a", "w"]
    private static let endraw: [Unicode.Scalar] = ["e", "n", "d", "r", "a", "w"]

    private func isPair(_ first: Unicode.Scalar, _ second: Unicode.Scalar, at index: Int) -> Bool {
        scalar(index) == first && scalar(index + 1) == second
    }

    /// The first place from `index` on that is not white space.
    func afterSpace(_ index: Int) -> Int {
        var place = index
        while let scalar = scalar(place), MarkedText.isSpace(scalar) { place += 1 }
        return place
    }

    func text(_ range: Range<Int>) -> String {
        var view = String.UnicodeScalarView()
        view.append(contentsOf: source[range])
        return String(view)
    }

    // MARK: Between the tags

    private mutating func run() throws(TemplateError) {
        while let tag = nextTag(at) {
            let kind = source[tag + 1]
            let sign = scalar(tag + 2).flatMap { $0 == "-" || $0 == "+" ? $0 : nil }
            takeText(to: tag, sign: sign, isOutput: kind == "{")
            at = tag + (sign == nil ? 2 : 3)
            if kind == "#" {
                try skipComment()
            } else if kind == "%", let content = contentOfRaw(at) {
                try takeRaw(content)
            } else {
                append(kind == "{" ? .outputBegin : .blockBegin)
                try takeTag(isOutput: kind == "{")
            }
        }
        takeText(to: source.count, sign: "+", isOutput: false)
    }

    private func nextTag(_ from: Int) -> Int? {
        var place = from
        while place + 1 < source.count {
            if source[place] == "{", ["{", "%", "#"].contains(source[place + 1]) { return place }
            place += 1
        }
        return nil
    }

    /// The text up to `end`, without what the tag there strips from it.
    private mutating func takeText(to end: Int, sign: Unicode.Scalar?, isOutput: Bool) {
        let begin = at
        var last = end
        if sign == "-" {
            while last > begin, MarkedText.isSpace(source[last - 1]) { last -= 1 }
        } else if sign == nil, !isOutput {
            // Only where nothing but white space stands between the line's start and the tag.
            var start = last
            while start > begin, source[start - 1] != "\n", MarkedText.isSpace(source[start - 1]) {
                start -= 1
            }
            if start > begin ? source[start - 1] == "\n" : startsLine { last = start }
        }
        if last > begin { append(.text(text(begin..<last))) }
        at = end
    }

    /// Skips white space after a tag that ends at `end`: all of it with `-`, one newline without `+`.
    private mutating func finishTag(_ end: Int, sign: Unicode.Scalar?, isOutput: Bool = false) {
        at = end
        if sign == "-" {
            at = afterSpace(end)
        } else if sign == nil, !isOutput, scalar(end) == "\n" {
            at += 1
        }
        startsLine = at > end && source[at - 1] == "\n"
    }

    private mutating func skipComment() throws(TemplateError) {
        let begin = at
        while at < source.count {
            guard isPair("#", "}", at: at) else {
                at += 1
                continue
            }
            let last = at > begin ? source[at - 1] : " "
            return finishTag(at + 2, sign: last == "-" || last == "+" ? last : nil)
        }
        throw failure("a comment does not end")
    }

    /// Where the text of `{% raw %}`, whose inside begins at `index`, begins.
    private func contentOfRaw(_ index: Int) -> Int? {
        let name = afterSpace(index)
        guard looks(at: Self.raw, name) else { return nil }
        let end = afterSpace(name + 3)
        if scalar(end) == "-", isPair("%", "}", at: end + 1) { return afterSpace(end + 3) }
        return isPair("%", "}", at: end) ? end + 2 : nil
    }

    /// Everything up to `{% endraw %}` is text.
    private mutating func takeRaw(_ content: Int) throws(TemplateError) {
        startsLine = source[content - 1] == "\n"
        at = content
        var place = content
        while place < source.count {
            if isPair("{", "%", at: place) {
                let sign = scalar(place + 2).flatMap { $0 == "-" || $0 == "+" ? $0 : nil }
                let name = afterSpace(place + (sign == nil ? 2 : 3))
                let end = afterSpace(name + 6)
                if looks(at: Self.endraw, name), let (after, trim) = blockEnd(end) {
                    takeText(to: place, sign: sign, isOutput: false)
                    return finishTag(after, sign: trim)
                }
            }
            place += 1
        }
        throw failure("'raw' does not end")
    }

    /// The end of a tag that `%}` at `index` ends, with its sign.
    private func blockEnd(_ index: Int) -> (Int, Unicode.Scalar?)? {
        if isPair("%", "}", at: index) { return (index + 2, nil) }
        guard let sign = scalar(index), sign == "-" || sign == "+" else { return nil }
        return isPair("%", "}", at: index + 1) ? (index + 3, sign) : nil
    }

    // MARK: Inside a tag

    private mutating func takeTag(isOutput: Bool) throws(TemplateError) {
        var brackets: [Unicode.Scalar] = []
        while true {
            at = afterSpace(at)
            guard at < source.count else { throw failure("a tag does not end") }
            // Inside brackets there is no end of a tag.
            if brackets.isEmpty, let (end, sign) = isOutput ? outputEnd(at) : blockEnd(at) {
                append(isOutput ? .outputEnd : .blockEnd)
                return finishTag(end, sign: sign, isOutput: isOutput)
            }
            try takeToken(&brackets)
        }
    }

    private func outputEnd(_ index: Int) -> (Int, Unicode.Scalar?)? {
        if isPair("}", "}", at: index) { return (index + 2, nil) }
        return scalar(index) == "-" && isPair("}", "}", at: index + 1) ? (index + 3, "-") : nil
    }

    /// Scalars that may follow a scalar in an operator.
    private static let doubles: [Unicode.Scalar: Unicode.Scalar] = [
        "*": "*", "/": "/", "=": "=", "!": "=", "<": "=", ">": "=",
    ]

    private mutating func takeToken(_ brackets: inout [Unicode.Scalar]) throws(TemplateError) {
        let scalar = source[at]
        if scalar == "\"" || scalar == "'" { return append(.string(try string(scalar))) }
        if ("0"..."9").contains(scalar) { return append(try number()) }
        if scalar == "_" || scalar.properties.isXIDStart {
            let start = at
            while let next = self.scalar(at), next.properties.isXIDContinue { at += 1 }
            guard at - start <= 200 else { throw failure("a name this long") }
            return append(.name(text(start..<at)))
        }
        if let next = self.scalar(at + 1), Self.doubles[scalar] == next {
            append(.symbol(String(scalar) + String(next)))
            at += 2
            return
        }
        guard "+-*/%~<>=.,:|()[]{}".unicodeScalars.contains(scalar) else {
            throw failure("unexpected '\(scalar)'")
        }
        switch scalar {
        case "(": brackets.append(")")
        case "[": brackets.append("]")
        case "{": brackets.append("}")
        case ")", "]", "}":
            guard brackets.popLast() == scalar else { throw failure("unexpected '\(scalar)'") }
        default: break
        }
        append(.symbol(String(scalar)))
        at += 1
    }
}
