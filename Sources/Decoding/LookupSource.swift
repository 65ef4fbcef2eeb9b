/// Drafts that continue the text as it went on earlier after the same tokens: in the prompt, in what has
/// been generated, or in a corpus, such as earlier outputs. Costs a few microseconds per pass.
///
/// Three places are followed, and the draft that promises the most tokens is offered: the one after the longest
/// match in the text, the newest of equally long ones; the one where the last copy would go on if only some
/// tokens were replaced, left out or added; and the one after the longest match in the corpus, whose tokens
/// have lower chances until they have been right. A draft that reaches the end of the text goes on through
/// itself, so that text with a short period is drafted to any length.
public final class LookupSource: DraftSource {
    public var name: String { "lookup" }

    /// A place is the number of tokens before it. Places of the corpus come first, then, after a gap of one, those of
    /// the text.
    private var index: TextIndex
    private let corpus: TextIndex?
    /// The place where the text begins.
    private let textStart: Int
    private let chances: LookupChances
    /// Where the longest matches lead.
    private var places: [Int] = []
    private var offered = Offer()
    private var other = Offer()
    /// Tokens of the text when `offered` was made.
    private var offeredAt = 0
    /// The place that the text copies next, if it still copies, and how many tokens ago it was seen to copy.
    private var copied: (place: Int, age: Int)?

    /// A draft, and what makes each of its tokens likely.
    private struct Offer {
        /// Place of the first token.
        var place = 0
        var tokens: [Int32] = []
        var cases: [LookupChances.Case] = []
        var chances: [Float] = []
        /// Tokens that are expected to be right.
        var expected: Float = 0

        mutating func clear() {
            tokens.removeAll(keepingCapacity: true)
            cases.removeAll(keepingCapacity: true)
            chances.removeAll(keepingCapacity: true)
            expected = 0
        }
    }

    /// Lengths of n-grams in the index, the longest first: longer matches are found among the places of these.
    static let lengths = [16, 6, 3, 2, 1]
    /// Most earlier places that are compared, and the longest match that counts as longer than others.
    private static let (mostPlaces, longestMatch) = (16, 64)
    /// How far from its expected place a copy is looked for, and for how many tokens after the last copied one.
    private static let (reach, patience) = (16, 32)

    /// - Parameters:
    ///   - corpus: A text that the output may repeat.
    ///   - chances: Learned from several texts.
    public init(corpus: LookupCorpus? = nil, chances: LookupChances = LookupChances()) {
        self.chances = chances
        self.corpus = corpus?.index
        index = TextIndex(lengths: Self.lengths)
        textStart = corpus.map { $0.count + 1 } ?? 0
        places.reserveCapacity(Self.mostPlaces)
    }

    public func draft(_ request: DraftRequest, into draft: inout Draft) {
        follow(request.text, unchanged: request.unchanged)
        offered.clear()
        let longest = findLongest(inCorpus: false)
        consider(longest, isNear: copied?.place == longest?.place, most: request.most)
        if let near = findNear(), near.place != longest?.place {
            consider(near, isNear: true, most: request.most)
        }
        if corpus != nil, let longest = findLongest(inCorpus: true) {
            consider(longest, isNear: copied?.place == longest.place, most: request.most)
        }
        for index in offered.tokens.indices {
            draft.append(offered.tokens[index], offered.chances[index])
        }
    }

    /// Offers the tokens that followed a place if they promise more than the current offer.
    private func consider(_ match: Match?, isNear: Bool, most: Int) {
        guard let match else { return }
        swap(&offered, &other)
        follow(match.place, length: match.length, isNear: isNear, most: most)
        if offered.expected < other.expected { swap(&offered, &other) }
    }

    /// Learns from the new tokens and updates the index.
    private func follow(_ text: [Int32], unchanged: Int) {
        if offeredAt <= unchanged { learn(from: text) } else { copied = nil }
        index.truncate(to: unchanged)
        for token in text[unchanged...] { index.append(token) }
        offeredAt = text.count
    }

    /// Compares the last draft with the new tokens, whether it was verified or not.
    private func learn(from text: [Int32]) {
        let fresh = text.count - offeredAt
        var right = 0
        while right < min(fresh, offered.tokens.count) {
            let isRight = text[offeredAt + right] == offered.tokens[right]
            chances.add(offered.cases[right], isRight: isRight)
            guard isRight else { break }
            right += 1
        }
        if right > 0 { copied = (offered.place, 0) }
        if let last = copied {
            let age = last.age + fresh - right
            copied = age < Self.patience ? (last.place + fresh, age) : nil
        }
    }

    /// A place, and how many tokens before it equal the last tokens of the text.
    private typealias Match = (place: Int, length: Int)

    /// The longest match, the newest of several; all that were compared are in `places`.
    private func findLongest(inCorpus: Bool) -> Match? {
        places.removeAll(keepingCapacity: true)
        var best = (place: 0, length: 0)
        for (table, least) in Self.lengths.enumerated() {
            var steps = 0
            func look(_ place: Int) -> Bool {
                let length = matchLength(place)
                if length >= least {
                    places.append(place)
                    if length > best.length { best = (place, length) }
                }
                steps += 1
                return steps < Self.mostPlaces
            }
            if inCorpus {
                corpus?.forEachPlace(table: table, endOf: index, look)
            } else {
                index.forEachPlace(table: table) { look(textStart + $0) }
            }
            if best.length > 0 { return best }
        }
        return nil
    }

    /// The longest match near the place where a copy goes on, or that place itself.
    private func findNear() -> Match? {
        let end = textStart + index.tokens.count
        guard let copied, copied.place < end else { return nil }
        var best = (place: copied.place, length: matchLength(copied.place))
        for distance in 1...Self.reach {
            for place in [copied.place + distance, copied.place - distance]
            where place > 0 && place < end {
                let length = matchLength(place)
                if length > best.length { best = (place, length) }
            }
        }
        return best
    }

    /// How many tokens before a place equal the last tokens of the text.
    private func matchLength(_ place: Int) -> Int {
        guard place < textStart, let corpus else {
            return index.matchLength(place - textStart, most: Self.longestMatch)
        }
        return corpus.matchLength(place, endOf: index, most: Self.longestMatch)
    }

    /// Sets `offered` to the tokens that followed a place, and notes for each token what the other places have there.
    private func follow(_ place: Int, length: Int, isNear: Bool, most: Int) {
        offered.clear()
        offered.place = place
        var chance: Float = 1
        var agreeing = places.count
        while offered.tokens.count < most {
            let offset = offered.tokens.count
            let token = token(place, offset)
            guard token >= 0 else { return }
            let others = agreeing
            for index in (0..<others).reversed() where self.token(places[index], offset) != token {
                agreeing -= 1
                places.swapAt(index, agreeing)
            }
            let what = LookupChances.Case(
                agreement: agreeing < others ? .contested : others > 1 ? .unanimous : .alone,
                isForeign: place < textStart, isNear: isNear, length: length, offset: offset)
            offered.tokens.append(token)
            offered.cases.append(what)
            offered.chances.append(chances.chance(what))
            chance *= offered.chances[offset]
            offered.expected += chance
        }
    }

    /// The token `offset` tokens after a place. After the end of the text it is the drafted token, and after the end of
    /// the corpus -1.
    private func token(_ place: Int, _ offset: Int) -> Int32 {
        let at = place + offset
        if at < textStart, let corpus { return at < corpus.tokens.count ? corpus.tokens[at] : -1 }
        let own = at - textStart
        return own < index.tokens.count
            ? index.tokens[own] : offered.tokens[own - index.tokens.count]
    }
}
