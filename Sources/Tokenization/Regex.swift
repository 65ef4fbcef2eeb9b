/// Regular expressions of `Split` pre-tokenizers that have no scanner of their own: alternation,
/// groups, classes with Unicode categories, quantifiers of all three kinds, lookahead, `(?i:)`.
///
/// A backtracking machine over the scalars of a text. What a text may cost is bounded by its length,
/// in time and in memory, so that a hostile pattern cannot hang; beyond the bound every scalar
/// stands alone. Honest patterns take a few steps per scalar.
struct Regex: Sendable {
    enum Op: Sendable {
        case set(CharacterSet)
        /// Try the first target, on failure the second.
        case split(Int, Int)
        case jump(Int)
        /// The body up to `.end` must match (or not) here; goes on at the target.
        case look(negative: Bool, then: Int)
        /// The body up to `.end` is matched once and never reconsidered; goes on at the target.
        case atomic(then: Int)
        case end
    }

    private static let stepsPerScalar = 256

    private let program: [Op]

    init(_ pattern: String) throws(TokenizerError) {
        var parser = RegexParser(pattern)
        let node = try parser.parse()
        var compiler = RegexCompiler()
        compiler.emit(node)
        compiler.program.append(.end)
        guard compiler.program.count <= RegexCompiler.sizeLimit else {
            throw .pattern(pattern, offset: 0, reason: "too many repetitions")
        }
        program = compiler.program
    }

    /// Every match is a piece, and so is what lies between two.
    func split(_ text: TextScanner, _ emit: (Range<Int>) -> Void) {
        let count = text.scalars.count
        var budget = 10_000 + Self.stepsPerScalar * count
        var gap = 0
        var at = 0
        while at < count {
            if let end = match(text, 0, at, &budget), end > at {
                if gap < at { emit(gap..<at) }
                emit(at..<end)
                at = end
                gap = end
            } else {
                at += 1
            }
        }
        if gap < count { emit(gap..<count) }
    }

    /// End of the match of the program part from `start`, or nil.
    private func match(
        _ text: TextScanner, _ start: Int, _ from: Int, _ budget: inout Int
    ) -> Int? {
        var (pc, at) = (start, from)
        var alternatives: [(pc: Int, at: Int)] = []
        let mostAlternatives = 10_000 + 4 * text.scalars.count
        while true {
            budget -= 1
            guard budget > 0, alternatives.count <= mostAlternatives else { return nil }
            var failed = false
            switch program[pc] {
            case .set(let set):
                if at < text.scalars.count, set.contains(text.scalars[at]) {
                    at += 1
                    pc += 1
                } else {
                    failed = true
                }
            case .split(let first, let second):
                alternatives.append((second, at))
                pc = first
            case .jump(let target): pc = target
            case .look(let negative, let then):
                let found = match(text, pc + 1, at, &budget) != nil
                if found != negative { pc = then } else { failed = true }
            case .atomic(let then):
                if let end = match(text, pc + 1, at, &budget) {
                    (pc, at) = (then, end)
                } else {
                    failed = true
                }
            case .end: return at
            }
            if failed {
                guard let last = alternatives.popLast() else { return nil }
                (pc, at) = last
            }
        }
    }
}

/// A set of scalars: ranges and Unicode properties, possibly negated.
struct CharacterSet: Sendable {
    enum Item: Sendable {
        case range(ClosedRange<UInt32>)
        /// Any of these general categories, as a bit set over `Self.bit`.
        case categories(UInt32, negated: Bool)
        case whitespace(negated: Bool)
        case word(negated: Bool)
    }

    var items: [Item] = []
    var negated = false
    var ignoresCase = false

    func contains(_ scalar: Unicode.Scalar) -> Bool {
        var found = items.contains { Self.matches($0, scalar) }
        if !found, ignoresCase {
            let folded = Self.fold(scalar)
            found = items.contains { item in
                guard case .range(let range) = item else { return false }
                if range.contains(folded.value) { return true }
                return ("a"..."z").contains(folded) && range.contains(folded.value & ~0x20)
            }
        }
        return found != negated
    }

    private static func matches(_ item: Item, _ scalar: Unicode.Scalar) -> Bool {
        switch item {
        case .range(let range): return range.contains(scalar.value)
        case .categories(let bits, let negated):
            return (bits & bit(scalar.properties.generalCategory) != 0) != negated
        case .whitespace(let negated): return scalar.properties.isWhitespace != negated
        case .word(let negated):
            let isWord =
                scalar == "_"
                || wordBits & bit(scalar.properties.generalCategory) != 0
            return isWord != negated
        }
    }

    /// Simple case folding as far as ASCII letters are concerned: U+017F is an s, U+212A a k.
    private static func fold(_ scalar: Unicode.Scalar) -> Unicode.Scalar {
        if scalar == "\u{17f}" { return "s" }
        let lower = scalar.properties.lowercaseMapping.unicodeScalars
        return lower.count == 1 ? lower.first ?? scalar : scalar
    }

    private static let names: [(String, Unicode.GeneralCategory)] = [
        ("Lu", .uppercaseLetter), ("Ll", .lowercaseLetter), ("Lt", .titlecaseLetter),
        ("Lm", .modifierLetter), ("Lo", .otherLetter), ("Mn", .nonspacingMark),
        ("Mc", .spacingMark), ("Me", .enclosingMark), ("Nd", .decimalNumber),
        ("Nl", .letterNumber), ("No", .otherNumber), ("Pc", .connectorPunctuation),
        ("Pd", .dashPunctuation), ("Ps", .openPunctuation), ("Pe", .closePunctuation),
        ("Pi", .initialPunctuation), ("Pf", .finalPunctuation), ("Po", .otherPunctuation),
        ("Sm", .mathSymbol), ("Sc", .currencySymbol), ("Sk", .modifierSymbol),
        ("So", .otherSymbol), ("Zs", .spaceSeparator), ("Zl", .lineSeparator),
        ("Zp", .paragraphSeparator), ("Cc", .control), ("Cf", .format), ("Cs", .surrogate),
        ("Co", .privateUse), ("Cn", .unassigned),
    ]

    /// Letters, marks and numbers.
    private static let wordBits = ["L", "M", "N"].reduce(0) { $0 | (bits(named: $1) ?? 0) }

    static func bit(_ category: Unicode.GeneralCategory) -> UInt32 {
        guard let index = names.firstIndex(where: { $0.1 == category }) else { return 0 }
        return 1 << UInt32(index)
    }

    /// Categories called `name`: `L` is all that begin with L.
    static func bits(named name: String) -> UInt32? {
        var bits: UInt32 = 0
        for (index, entry) in names.enumerated() where entry.0.hasPrefix(name) {
            bits |= 1 << UInt32(index)
        }
        return bits == 0 || name.isEmpty ? nil : bits
    }
}
