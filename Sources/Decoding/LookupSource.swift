/// Drafts that continue the text as it went on earlier after the same tokens: in the prompt, in what has
/// been generated, or in a corpus, such as earlier outputs. Costs a few microseconds per pass.
///
/// Two places are followed, and the draft that promises more tokens is offered: the one after the longest
/// match, the newest of equally long ones; and the one where the text goes on that has been copied last,
/// should only some tokens of it have been replaced, left out or added. A draft that reaches the end of
/// the text goes on through itself, so that what repeats with a short period is drafted as far as wanted.
public final class LookupSource: DraftSource {
    public var name: String { "lookup" }

    /// The corpus, a break, and the text.
    private var index: TextIndex
    /// Tokens of `index` before the text.
    private let textStart: Int
    private let chances: LookupChances
    /// Where the longest matches lead.
    private var places: [Int] = []
    private var offered = Offer()
    private var other = Offer()
    /// Tokens of the text when `offered` was made.
    private var offeredAt = 0
    /// The place that the text copies next, if it still copies, and how many tokens ago it was seen to.
    private var copied: (place: Int, age: Int)?

    /// A draft, and what makes each of its tokens likely.
    private struct Offer {
        /// In `index`, of the first token.
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

    /// Lengths of n-grams that are found at once, the longest first: longer matches are found among theirs.
    private static let lengths = [16, 6, 3, 2, 1]
    /// Earlier places that are compared, and tokens of a match that are told apart.
    private static let (mostPlaces, longestMatch) = (16, 64)
    /// How far from where it is expected a copy is looked for, and how many tokens after the last one.
    private static let (reach, patience) = (16, 32)

    /// - Parameters:
    ///   - corpus: Token ids of a text that the output may repeat.
    ///   - chances: Learned from several texts.
    public init(corpus: [Int32] = [], chances: LookupChances = LookupChances()) {
        self.chances = chances
        index = TextIndex(lengths: Self.lengths, capacity: max(1024, 2 * corpus.count))
        for token in corpus { index.append(token) }
        if !corpus.isEmpty { index.append(-1) }
        textStart = index.tokens.count
        places.reserveCapacity(Self.mostPlaces)
    }

    public func draft(_ request: DraftRequest, into draft: inout Draft) {
        follow(request.text, unchanged: request.unchanged)
        offered.clear()
        let (longest, length) = findLongest()
        if length > 0 {
            follow(longest, length: length, isNear: copied?.place == longest, most: request.most)
        }
        if let near = findNear(), near.place != longest {
            swap(&offered, &other)
            follow(near.place, length: near.length, isNear: true, most: request.most)
            if offered.expected < other.expected { swap(&offered, &other) }
        }
        for index in offered.tokens.indices {
            draft.append(offered.tokens[index], offered.chances[index])
        }
    }

    /// Learns from what came, and brings the index up to date.
    private func follow(_ text: [Int32], unchanged: Int) {
        if offeredAt <= unchanged { learn(from: text) } else { copied = nil }
        index.truncate(to: textStart + unchanged)
        for token in text[unchanged...] { index.append(token) }
        offeredAt = text.count
    }

    /// Compares the last draft with what came, whether it was verified or not.
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

    /// The place after the longest match, the newest of several; all that were compared are in `places`.
    private func findLongest() -> (place: Int, length: Int) {
        places.removeAll(keepingCapacity: true)
        var best = (place: 0, length: 0)
        for (table, least) in Self.lengths.enumerated() {
            var steps = 0
            index.forEachPlace(table: table) { place in
                let length = index.matchLength(place, most: Self.longestMatch)
                if length >= least {
                    places.append(place)
                    if length > best.length { best = (place, length) }
                }
                steps += 1
                return steps < Self.mostPlaces
            }
            if best.length > 0 { break }
        }
        return best
    }

    /// The longest match near the place where a copy goes on, or that place itself.
    private func findNear() -> (place: Int, length: Int)? {
        guard let copied, copied.place < index.tokens.count else { return nil }
        var best = (
            place: copied.place,
            length: index.matchLength(copied.place, most: Self.longestMatch)
        )
        for distance in 1...Self.reach {
            for place in [copied.place + distance, copied.place - distance]
            where place > 0 && place < index.tokens.count {
                let length = index.matchLength(place, most: Self.longestMatch)
                if length > best.length { best = (place, length) }
            }
        }
        return best
    }

    /// Makes `offered` what followed a place, and notes at each token what the other places have there.
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
                isNear: isNear, length: length, offset: offset)
            offered.tokens.append(token)
            offered.cases.append(what)
            offered.chances.append(chances.chance(what))
            chance *= offered.chances[offset]
            offered.expected += chance
        }
    }

    /// What stands `offset` tokens after a place; after the end of the text, what is drafted there.
    private func token(_ place: Int, _ offset: Int) -> Int32 {
        let at = place + offset
        return at < index.tokens.count ? index.tokens[at] : offered.tokens[at - index.tokens.count]
    }
}
