/// A pattern's structure.
indirect enum RegexNode {
    enum Greed { case greedy, lazy, possessive }

    case set(CharacterSet)
    case sequence([RegexNode])
    case alternation([RegexNode])
    case repetition(RegexNode, least: Int, most: Int?, Greed)
    case look(RegexNode, negative: Bool)
    case atomic(RegexNode)
}

struct RegexCompiler {
    static let sizeLimit = 20_000
    var program: [Regex.Op] = []

    mutating func emit(_ node: RegexNode) {
        guard program.count <= Self.sizeLimit else { return }
        switch node {
        case .set(let set): program.append(.set(set))
        case .sequence(let nodes): for node in nodes { emit(node) }
        case .alternation(let nodes): emit(alternatives: nodes[...])
        case .repetition(let body, let least, let most, let greed):
            if greed == .possessive {
                return emit(.atomic(.repetition(body, least: least, most: most, .greedy)))
            }
            for _ in 0..<least { emit(body) }
            if let most {
                emit(optional: body, times: most - least, lazy: greed == .lazy)
            } else {
                emit(loop: body, lazy: greed == .lazy)
            }
        case .look(let body, let negative):
            emit(inner: body) { .look(negative: negative, then: $0) }
        case .atomic(let body):
            emit(inner: body) { .atomic(then: $0) }
        }
    }

    private mutating func emit(alternatives nodes: ArraySlice<RegexNode>) {
        guard let first = nodes.first else { return }
        guard nodes.count > 1 else { return emit(first) }
        let split = program.count
        program.append(.end)
        emit(first)
        let jump = program.count
        program.append(.end)
        program[split] = .split(split + 1, program.count)
        emit(alternatives: nodes.dropFirst())
        program[jump] = .jump(program.count)
    }

    private mutating func emit(loop body: RegexNode, lazy: Bool) {
        let split = program.count
        program.append(.end)
        emit(body)
        program.append(.jump(split))
        program[split] =
            lazy ? .split(program.count, split + 1) : .split(split + 1, program.count)
    }

    private mutating func emit(optional body: RegexNode, times: Int, lazy: Bool) {
        var splits: [Int] = []
        for _ in 0..<max(0, times) where program.count <= Self.sizeLimit {
            splits.append(program.count)
            program.append(.end)
            emit(body)
        }
        for split in splits {
            program[split] =
                lazy ? .split(program.count, split + 1) : .split(split + 1, program.count)
        }
    }

    private mutating func emit(inner body: RegexNode, _ op: (Int) -> Regex.Op) {
        let start = program.count
        program.append(.end)
        emit(body)
        program.append(.end)
        program[start] = op(program.count)
    }
}

/// Parses the syntax that tokenizer.json files use.
struct RegexParser {
    private let pattern: String
    private let scalars: [Unicode.Scalar]
    private var at = 0
    private var depth = 0
    private var ignoresCase = false

    init(_ pattern: String) {
        self.pattern = pattern
        scalars = Array(pattern.unicodeScalars)
    }

    mutating func parse() throws(TokenizerError) -> RegexNode {
        let node = try alternation()
        guard at == scalars.count else { throw failure("an unmatched ')'") }
        return node
    }

    private func failure(_ reason: String) -> TokenizerError {
        .pattern(pattern, offset: at, reason: reason)
    }

    private var peek: Unicode.Scalar? { at < scalars.count ? scalars[at] : nil }

    private mutating func take(_ text: String) -> Bool {
        let wanted = Array(text.unicodeScalars)
        guard scalars[at...].starts(with: wanted) else { return false }
        at += wanted.count
        return true
    }

    private mutating func alternation() throws(TokenizerError) -> RegexNode {
        depth += 1
        defer { depth -= 1 }
        guard depth < 64 else { throw failure("nested too deeply") }
        var branches: [RegexNode] = []
        repeat {
            var nodes: [RegexNode] = []
            while let scalar = peek, scalar != "|", scalar != ")" { nodes.append(try quantified()) }
            branches.append(.sequence(nodes))
        } while take("|")
        return branches.count == 1 ? branches[0] : .alternation(branches)
    }

    private mutating func quantified() throws(TokenizerError) -> RegexNode {
        let node = try atom()
        var (least, most): (Int, Int?)
        if take("?") {
            (least, most) = (0, 1)
        } else if take("*") {
            (least, most) = (0, nil)
        } else if take("+") {
            (least, most) = (1, nil)
        } else if take("{") {
            (least, most) = try bounds()
        } else {
            return node
        }
        let greed: RegexNode.Greed = take("?") ? .lazy : take("+") ? .possessive : .greedy
        return .repetition(node, least: least, most: most, greed)
    }

    private mutating func bounds() throws(TokenizerError) -> (Int, Int?) {
        let least = try number()
        var most: Int? = least
        if take(",") { most = peek == "}" ? nil : try number() }
        guard take("}"), most.map({ $0 >= least }) ?? true else { throw failure("bad bounds") }
        return (least, most)
    }

    private mutating func number() throws(TokenizerError) -> Int {
        var value = 0
        let start = at
        while let scalar = peek, ("0"..."9").contains(scalar), at - start < 4 {
            value = value * 10 + Int(scalar.value - 48)
            at += 1
        }
        guard at > start else { throw failure("a number expected") }
        return value
    }

    private mutating func atom() throws(TokenizerError) -> RegexNode {
        guard let scalar = peek else { throw failure("something to match expected") }
        at += 1
        switch scalar {
        case "(": return try group()
        case "[": return .set(try characterClass())
        case ".":
            return .set(CharacterSet(items: [.range(10...10)], negated: true))
        case "\\": return .set(CharacterSet(items: [try escape()], ignoresCase: ignoresCase))
        case "^", "$", "*", "+", "?": throw failure("'\(scalar)' here")
        default:
            return .set(
                CharacterSet(
                    items: [.range(scalar.value...scalar.value)], ignoresCase: ignoresCase))
        }
    }

    private mutating func group() throws(TokenizerError) -> RegexNode {
        let saved = ignoresCase
        defer { ignoresCase = saved }
        var wrap: (RegexNode) -> RegexNode = { $0 }
        if take("?:") {
        } else if take("?i:") {
            ignoresCase = true
        } else if take("?=") {
            wrap = { .look($0, negative: false) }
        } else if take("?!") {
            wrap = { .look($0, negative: true) }
        } else if take("?>") {
            wrap = { .atomic($0) }
        } else if peek == "?" {
            throw failure("this kind of group")
        }
        let body = try alternation()
        guard take(")") else { throw failure("')' expected") }
        return wrap(body)
    }

    private mutating func characterClass() throws(TokenizerError) -> CharacterSet {
        var set = CharacterSet(ignoresCase: ignoresCase)
        set.negated = take("^")
        var isFirst = true
        while isFirst || peek != "]" {
            isFirst = false
            guard let scalar = peek, scalar != "[", !take("&&") else {
                throw failure("this inside a class")
            }
            at += 1
            let item: CharacterSet.Item =
                scalar == "\\" ? try escape() : .range(scalar.value...scalar.value)
            guard case .range(let low) = item, peek == "-", at + 1 < scalars.count,
                scalars[at + 1] != "]"
            else {
                set.items.append(item)
                continue
            }
            at += 1
            guard let last = peek else { throw failure("the class does not end") }
            at += 1
            let upper: CharacterSet.Item =
                last == "\\" ? try escape() : .range(last.value...last.value)
            guard case .range(let high) = upper, low.lowerBound <= high.upperBound else {
                throw failure("a bad range")
            }
            set.items.append(.range(low.lowerBound...high.upperBound))
        }
        at += 1
        return set
    }

    private mutating func escape() throws(TokenizerError) -> CharacterSet.Item {
        guard let scalar = peek else { throw failure("the pattern ends in '\\'") }
        at += 1
        switch scalar {
        case "n": return .range(10...10)
        case "r": return .range(13...13)
        case "t": return .range(9...9)
        case "f": return .range(12...12)
        case "v": return .range(11...11)
        case "s": return .whitespace(negated: false)
        case "S": return .whitespace(negated: true)
        case "w": return .word(negated: false)
        case "W": return .word(negated: true)
        case "d", "D":
            return .categories(CharacterSet.bit(.decimalNumber), negated: scalar == "D")
        case "p", "P": return try property(negated: scalar == "P")
        case "x", "u": return try codePoint()
        default:
            guard !("a"..."z").contains(scalar), !("A"..."Z").contains(scalar),
                !("0"..."9").contains(scalar)
            else { throw failure("the escape '\\\(scalar)'") }
            return .range(scalar.value...scalar.value)
        }
    }

    private mutating func property(negated: Bool) throws(TokenizerError) -> CharacterSet.Item {
        var name = ""
        if take("{") {
            while let scalar = peek, scalar != "}" {
                name.unicodeScalars.append(scalar)
                at += 1
            }
            guard take("}") else { throw failure("'}' expected") }
        } else if let scalar = peek {
            name.unicodeScalars.append(scalar)
            at += 1
        }
        guard let bits = CharacterSet.bits(named: name) else {
            throw failure("the property '\(name)'")
        }
        return .categories(bits, negated: negated)
    }

    private mutating func codePoint() throws(TokenizerError) -> CharacterSet.Item {
        var digits = ""
        let braces = take("{")
        let limit = braces ? 6 : scalars[at - 1] == "u" ? 4 : 2
        while let scalar = peek, digits.count < limit, Character(scalar).isHexDigit {
            digits.unicodeScalars.append(scalar)
            at += 1
        }
        guard let value = UInt32(digits, radix: 16), !braces || take("}") else {
            throw failure("a hexadecimal number expected")
        }
        return .range(value...value)
    }
}
