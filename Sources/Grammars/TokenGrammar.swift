public import TesseraTokenization

/// A grammar over the tokens of a vocabulary: which tokens may follow, and the state after each.
///
/// The tokens that may follow are found once for each state and kept. For one thread at a time.
public final class TokenGrammar {
    /// The text that was read so far.
    public typealias State = Int32

    private var automaton: Automaton
    private let tree: TokenTree
    private let tokenizer: Tokenizer
    private let endTokens: [Int32]
    private var masks: [State: TokenMask] = [:]
    private var guesses: [State: [Guess]] = [:]

    /// Walks over the vocabulary so far.
    private(set) var walks = 0

    /// After a token that ends a text.
    static let over: State = -2
    /// Bytes of masks that are kept.
    private static let cacheBytes = 32 << 20

    /// A token that follows for certain, or nearly so.
    public struct Guess: Equatable, Sendable {
        public var token: Int32
        /// 1 where no other token may follow.
        public var chance: Float
    }

    /// - Parameters:
    ///   - tree: The tree of the tokenizer's vocabulary.
    ///   - endTokens: They may follow where the text may end.
    public init(
        _ grammar: Grammar, _ tree: TokenTree, _ tokenizer: Tokenizer, endTokens: Set<Int32>
    ) throws(GrammarError) {
        automaton = try Automaton(grammar, reach: tree.deepest)
        self.tree = tree
        self.tokenizer = tokenizer
        self.endTokens = endTokens.filter { tree.spelled.indices.contains(Int($0)) }.sorted()
    }

    /// Bytes of the automaton and the masks that were made so far, roughly.
    public var byteCount: Int {
        automaton.byteCount + masks.count * (tree.spelled.count / 8)
    }

    /// Before any token.
    public var start: State { automaton.start }

    /// Whether nothing but the end can follow.
    public func isComplete(_ state: State) -> Bool {
        state == Self.over || automaton.isComplete(state)
    }

    /// The state after a token; nil if the token may not follow.
    public func next(_ state: State, _ token: Int32) throws(GrammarError) -> State? {
        guard state != Self.over else { return nil }
        if endTokens.contains(token) { return automaton.canEnd(state) ? Self.over : nil }
        guard tree.spelled.indices.contains(Int(token)), !tree.spelled[Int(token)].isEmpty else {
            return nil
        }
        var at = state
        for byte in tree.spelled[Int(token)] {
            at = try automaton.next(at, byte)
            if at == Automaton.dead { return nil }
        }
        return at
    }

    /// Which tokens may follow.
    public func mask(_ state: State) throws(GrammarError) -> TokenMask {
        if let known = masks[state] { return known }
        let twin = state == Self.over ? (place: state, bytes: 0) : try automaton.twin(state)
        var mask: TokenMask
        if twin.place != state, twin.bytes > 0 {
            // Only tokens that are long enough to reach the end of a repetition may differ.
            mask = try self.mask(twin.place)
            if twin.bytes < tree.deepest {
                walks += 1
                try automaton.fill(&mask, state, tree, longerThan: twin.bytes)
            }
        } else {
            mask = TokenMask(vocabularySize: tree.spelled.count)
            if state == Self.over || automaton.canEnd(state) {
                endTokens.forEach { mask.insert($0) }
            }
            if state != Self.over {
                walks += 1
                try automaton.fill(&mask, state, tree, longerThan: 0)
            }
        }
        if (masks.count + 1) * mask.byteCount > Self.cacheBytes { masks.removeAll() }
        masks[state] = mask
        return mask
    }

    // MARK: What follows for certain

    /// Bytes of a text that are looked ahead.
    private static let reach = 96
    /// The chance that the model cuts forced bytes as the tokenizer does; less at their end, where a token may reach
    /// beyond them. (SmolLM2: 0.93 and 0.6.)
    private static let (likely, lastLikely) = (Float(0.9), Float(0.6))

    /// Tokens that follow where the grammar leaves no choice of bytes, as the tokenizer cuts them; none where it
    /// does.
    public func forced(_ state: State) throws(GrammarError) -> [Guess] {
        guard state != Self.over else { return [] }
        if let known = guesses[state] { return known }
        var text: [UInt8] = []
        var at = state
        while text.count < Self.reach, let byte = automaton.onlyByte(at) {
            text.append(byte)
            at = try automaton.next(at, byte)
        }
        let found = text.isEmpty ? [] : cut(text[...])
        guesses[state] = found
        return found
    }

    private func cut(_ text: ArraySlice<UInt8>) -> [Guess] {
        var guesses: [Guess] = []
        var rest = text
        for token in tokenizer.encode(String(decoding: text, as: UTF8.self), specials: .asText) {
            let spelled = tree.spelled[Int(token)]
            guard !spelled.isEmpty, rest.starts(with: spelled) else { break }
            let isOnly = tree.onlyToken(of: rest) == token
            rest = rest.dropFirst(spelled.count)
            let chance = rest.isEmpty ? Self.lastLikely : Self.likely
            guesses.append(Guess(token: token, chance: isOnly ? 1 : chance))
        }
        return guesses
    }
}

/// A set of token ids.
public struct TokenMask: Sendable {
    /// A bit for each id, the lowest first.
    public private(set) var words: [UInt64]
    public private(set) var count = 0

    init(vocabularySize: Int) { words = Array(repeating: 0, count: (vocabularySize + 63) / 64) }

    var byteCount: Int { words.count * 8 }

    mutating func insert(_ id: Int32) {
        let (word, bit) = (Int(id) / 64, UInt64(1) << UInt64(Int(id) % 64))
        if words[word] & bit == 0 { count += 1 }
        words[word] |= bit
    }

    mutating func remove(_ id: Int32) {
        let (word, bit) = (Int(id) / 64, UInt64(1) << UInt64(Int(id) % 64))
        if words[word] & bit != 0 { count -= 1 }
        words[word] &= ~bit
    }

    public func contains(_ id: Int32) -> Bool {
        words.indices.contains(Int(id) / 64) && words[Int(id) / 64] >> UInt64(Int(id) % 64) & 1 == 1
    }
}

extension Automaton {
    /// Says of the tokens with more than `known` bytes whether they may follow; `mask` tells it of the others. A
    /// method of the automaton, which is thus looked up once and not for every byte of the vocabulary.
    fileprivate mutating func fill(
        _ mask: inout TokenMask, _ place: Int32, _ tree: TokenTree, longerThan known: Int
    ) throws(GrammarError) {
        var path = [Int32](repeating: place, count: tree.deepest + 1)
        let (bytes, depths) = (tree.bytes.span, tree.depths.span)
        let (ends, longest) = (tree.ends.span, tree.longest.span)
        var node = 0
        while node < bytes.count {
            let end = Int(ends[node])
            guard longest[node] > known else {
                node = end
                continue
            }
            let depth = Int(depths[node])
            let next = try next(path[depth], bytes[node])
            guard next != Self.dead else {
                // Where fewer bytes were read, the mask has none of these already.
                if known > 0, depth >= known {
                    for node in node..<end { tree.each(node) { mask.remove($0) } }
                }
                node = end
                continue
            }
            path[depth + 1] = next
            tree.each(node) { mask.insert($0) }
            node += 1
        }
    }
}
