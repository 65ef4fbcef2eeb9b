/// A text's scalars with the classes that the pre-tokenizer patterns ask for.
struct TextScanner {
    enum Class: UInt8 {
        case other  // [^\s\p{L}\p{N}]
        case letter  // \p{L}
        case number  // \p{N}
        case space  // \s without \r and \n
        case newline  // \r or \n
    }

    let scalars: [Unicode.Scalar]
    let classes: [Class]
    /// Byte where each scalar begins, and last the end of the text.
    let offsets: [Int]

    /// - Parameter text: Valid UTF-8.
    init(_ text: String) {
        var scalars: [Unicode.Scalar] = []
        var classes: [Class] = []
        var offsets: [Int] = []
        let count = text.utf8.count
        scalars.reserveCapacity(count)
        classes.reserveCapacity(count)
        offsets.reserveCapacity(count + 1)
        var offset = 0
        for scalar in text.unicodeScalars {
            scalars.append(scalar)
            classes.append(Self.classify(scalar))
            offsets.append(offset)
            offset += UTF8.width(scalar)
        }
        offsets.append(offset)
        self.scalars = scalars
        self.classes = classes
        self.offsets = offsets
    }

    private static let asciiClasses: [Class] = (0..<128).map {
        switch $0 {
        case 0x0a, 0x0d: .newline
        case 0x09, 0x0b, 0x0c, 0x20: .space
        case 0x30...0x39: .number
        case 0x41...0x5a, 0x61...0x7a: .letter
        default: .other
        }
    }

    private static func classify(_ scalar: Unicode.Scalar) -> Class {
        if scalar.value < 128 { return asciiClasses[Int(scalar.value)] }
        let properties = scalar.properties
        switch properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            return .letter
        case .decimalNumber, .letterNumber, .otherNumber:
            return .number
        default:
            return properties.isWhitespace ? .space : .other
        }
    }
}

/// Cuts a text into the pieces that are merged on their own.
enum PreTokenization {
    /// GPT-2: `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`.
    ///
    /// - Parameter range: Scalars of `text`; its end counts as the end of the text.
    static func gpt2(_ text: TextScanner, _ range: Range<Int>, _ emit: (Range<Int>) -> Void) {
        let classes = text.classes
        var i = range.lowerBound
        while i < range.upperBound {
            var end = contraction(text, i, range.upperBound, ignoringCase: false)
            if end == i {
                let start = text.scalars[i] == " " && i + 1 < range.upperBound ? i + 1 : i
                switch classes[start] {
                case .letter, .number, .other:
                    end = run(classes, start, range.upperBound, of: classes[start])
                default:
                    end = blank(classes, i, range.upperBound)
                }
            }
            emit(i..<end)
            i = end
        }
    }

    /// Every number character alone, then GPT-2's pattern between them.
    static func digitsGPT2(
        _ text: TextScanner, _ range: Range<Int>, _ emit: (Range<Int>) -> Void
    ) {
        var begin = range.lowerBound
        for i in range where text.classes[i] == .number {
            gpt2(text, begin..<i, emit)
            emit(i..<i + 1)
            begin = i + 1
        }
        gpt2(text, begin..<range.upperBound, emit)
    }

    /// Llama 3 and Qwen 2: `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,digits}|`
    /// ` ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
    static func llama3(
        _ text: TextScanner, _ range: Range<Int>, digits: Int, _ emit: (Range<Int>) -> Void
    ) {
        let classes = text.classes
        let limit = range.upperBound
        var i = range.lowerBound
        while i < limit {
            var end = contraction(text, i, limit, ignoringCase: true)
            if end == i { end = word(classes, i, limit) }
            if end == i, classes[i] == .number {
                end = run(classes, i, min(limit, i + digits), of: .number)
            }
            if end == i {
                let start = text.scalars[i] == " " && i + 1 < limit ? i + 1 : i
                if classes[start] == .other {
                    end = run(classes, start, limit, of: .other)
                    end = run(classes, end, limit, of: .newline)
                }
            }
            if end == i { end = blankWithNewline(classes, i, limit) }
            emit(i..<end)
            i = end
        }
    }

    /// End of the run of one class from `i`.
    private static func run(
        _ classes: [TextScanner.Class], _ i: Int, _ limit: Int, of wanted: TextScanner.Class
    ) -> Int {
        var end = i
        while end < limit, classes[end] == wanted { end += 1 }
        return end
    }

    /// `[^\r\n\p{L}\p{N}]?\p{L}+`
    private static func word(_ classes: [TextScanner.Class], _ i: Int, _ limit: Int) -> Int {
        if classes[i] == .letter { return run(classes, i, limit, of: .letter) }
        guard classes[i] == .other || classes[i] == .space, i + 1 < limit,
            classes[i + 1] == .letter
        else { return i }
        return run(classes, i + 1, limit, of: .letter)
    }

    /// `\s+(?!\S)|\s+` on a run of white space, or a lone scalar of any class.
    private static func blank(_ classes: [TextScanner.Class], _ i: Int, _ limit: Int) -> Int {
        var end = i
        while end < limit, classes[end] == .space || classes[end] == .newline { end += 1 }
        return end == limit || end - i <= 1 ? max(end, i + 1) : end - 1
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+`
    private static func blankWithNewline(
        _ classes: [TextScanner.Class], _ i: Int, _ limit: Int
    ) -> Int {
        var end = i
        var afterNewline = i
        while end < limit, classes[end] == .space || classes[end] == .newline {
            if classes[end] == .newline { afterNewline = end + 1 }
            end += 1
        }
        return afterNewline > i ? afterNewline : blank(classes, i, limit)
    }

    /// `'s|'t|'re|'ve|'m|'ll|'d`; without case, `ſ` (U+017F) is an s too.
    private static func contraction(
        _ text: TextScanner, _ i: Int, _ limit: Int, ignoringCase: Bool
    ) -> Int {
        guard text.scalars[i] == "'", i + 1 < limit else { return i }
        func at(_ index: Int) -> Unicode.Scalar {
            guard index < limit else { return "\0" }
            let scalar = text.scalars[index]
            guard ignoringCase else { return scalar }
            if scalar == "\u{17f}" { return "s" }
            return ("A"..."Z").contains(scalar)
                ? Unicode.Scalar(UInt8(scalar.value) | 0x20) : scalar
        }
        switch (at(i + 1), at(i + 2)) {
        case ("s", _), ("t", _), ("m", _), ("d", _): return i + 2
        case ("r", "e"), ("v", "e"), ("l", "l"): return i + 3
        default: return i
        }
    }
}
