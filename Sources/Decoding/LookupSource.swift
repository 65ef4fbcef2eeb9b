/// Drafts that continue the text as it went on earlier after the same tokens: in the prompt, in what has
/// been generated, or in a corpus, such as earlier outputs. Costs a few microseconds per pass.
///
/// The longest match wins, the newest of equally long ones. A draft goes on through the match and, where
/// that reaches the end of the text, through itself, so that what repeats with a short period is drafted
/// as far as wanted.
public final class LookupSource: DraftSource {
    public var name: String { "lookup" }

    /// The corpus, a break, and the text.
    private var index: TextIndex
    /// Tokens of `index` before the text.
    private let textStart: Int
    private var chances = LookupChances()
    private var candidates: [Candidate] = []

    /// The last draft, where it stood in the text, and what made each of its tokens likely.
    private var offered: [Int32] = []
    private var cases: [LookupChances.Case] = []
    private var offeredAt = 0

    private struct Candidate {
        /// In `index`, of the token that is to come next.
        var place: Int
        /// Tokens before it that are those at the end of the text.
        var length: Int
    }

    /// Lengths of n-grams that are found at once, the longest first: longer matches are found among theirs.
    private static let lengths = [16, 6, 3, 2, 1]
    /// Earlier places that are compared, and tokens of a match that are told apart.
    private static let (mostPlaces, longestMatch) = (16, 64)

    /// - Parameter corpus: Token ids of a text that the output may repeat.
    public init(corpus: [Int32] = []) {
        index = TextIndex(lengths: Self.lengths, capacity: max(8192, 2 * corpus.count))
        for token in corpus { index.append(token) }
        if !corpus.isEmpty { index.append(-1) }
        textStart = index.tokens.count
        candidates.reserveCapacity(Self.mostPlaces)
        offered.reserveCapacity(64)
        cases.reserveCapacity(64)
    }

    public func draft(
        behind text: [Int32], unchanged: Int, most: Int, into draft: inout Draft
    ) {
        if offeredAt <= unchanged { learn(from: text) }
        index.truncate(to: textStart + unchanged)
        for token in text[unchanged...] { index.append(token) }
        offered.removeAll(keepingCapacity: true)
        cases.removeAll(keepingCapacity: true)
        offeredAt = text.count
        guard most > 0, let best = findCandidates() else { return }
        extend(best, most: most)
        for (token, what) in zip(offered, cases) {
            draft.append(token, Float(chances.chance(what)))
        }
    }

    /// Compares the last draft with what came, whether it was verified or not.
    private func learn(from text: [Int32]) {
        for (offset, token) in offered.enumerated() {
            let place = offeredAt + offset
            guard place < text.count else { return }
            let isRight = text[place] == token
            chances.add(cases[offset], isRight: isRight)
            if !isRight { return }
        }
    }

    /// Collects the newest places that match; returns the best of them.
    private func findCandidates() -> Candidate? {
        candidates.removeAll(keepingCapacity: true)
        var best: Candidate?
        for (table, least) in Self.lengths.enumerated() {
            var steps = 0
            index.forEachPlace(table: table) { place in
                let length = index.matchLength(place, most: Self.longestMatch)
                if length >= least {
                    candidates.append(Candidate(place: place, length: length))
                    if length > best?.length ?? 0 { best = candidates.last }
                }
                steps += 1
                return steps < Self.mostPlaces
            }
            if best != nil { break }
        }
        return best
    }

    /// Drafts what followed the best candidate, and notes at each token what the others have there.
    private func extend(_ best: Candidate, most: Int) {
        while offered.count < most {
            let offset = offered.count
            let token = self.token(best.place, offset)
            guard token >= 0 else { return }
            let others = candidates.count
            var agreeing = 0
            for index in (0..<others).reversed() {
                if self.token(candidates[index].place, offset) == token {
                    agreeing += 1
                } else {
                    candidates.swapAt(index, candidates.count - 1)
                    candidates.removeLast()
                }
            }
            let agreement: LookupChances.Agreement =
                agreeing < others ? .contested : others == 1 ? .alone : .unanimous
            cases.append(.init(agreement: agreement, length: best.length, offset: offset))
            offered.append(token)
        }
    }

    /// What stands `offset` tokens after a place; behind the end of the text, what is drafted there.
    private func token(_ place: Int, _ offset: Int) -> Int32 {
        let at = place + offset
        return at < index.tokens.count ? index.tokens[at] : offered[at - index.tokens.count]
    }
}
