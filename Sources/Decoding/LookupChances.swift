/// How often a looked-up token is right if all before it in its draft are right, learned from all texts.
///
/// A chance belongs to a match of some length, an offset after it, whether the match is in the text itself and
/// where a copy goes on, and the tokens of other matches. Where few such tokens were seen, tokens of other drafts with as
/// many known tokens before them, matched or drafted, count too. Before any were seen, a guess counts.
public final class LookupChances {
    /// What further matches have in a draft token's place.
    enum Agreement: Int {
        /// There are none.
        case alone
        /// All have the same token.
        case unanimous
        /// Some have another.
        case contested
    }

    /// What makes a token likely.
    struct Case {
        var agreement: Agreement
        /// The match is in a corpus.
        var isForeign: Bool
        /// The match is near the place where the last copy would go on.
        var isNear: Bool
        /// Tokens of the match; 0 only where a copy goes on.
        var length: Int
        /// Tokens of the draft before this one.
        var offset: Int
    }

    private var byBoth: [FadingMean]
    private var byKnown: [FadingMean]

    /// The first length of each class, of matches and of known tokens; and the first offset of each.
    private static let lengths = [0, 1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 65]
    private static let offsets = [0, 1, 2, 4, 8, 16]
    /// For each class of length, the chance before anything was seen of a match that is alone: far from the place
    /// where a copy goes on, and near it. Measured where SmolLM2 copied, edited and wrote prose. A corpus gets three
    /// quarters of these chances, because nobody knows yet how close it is to the text.
    private static let guesses: [[Float]] = [
        [0.05, 0.18, 0.35, 0.45, 0.55, 0.65, 0.75, 0.82, 0.88, 0.92, 0.94, 0.96, 0.97],
        [0.05, 0.4, 0.55, 0.6, 0.7, 0.8, 0.85, 0.92, 0.94, 0.96, 0.96, 0.97, 0.98],
    ]
    private static let (memory, doubt) = (60.0, 4.0)

    public init() {
        byKnown = Array(repeating: FadingMean(), count: 12 * Self.lengths.count)
        byBoth = Array(repeating: FadingMean(), count: byKnown.count * Self.offsets.count)
    }

    func chance(_ what: Case) -> Float {
        let (known, both, guess) = Self.indices(what)
        return Float(
            byBoth[both].mean(
                byKnown[known].mean(Double(guess), doubt: Self.doubt), doubt: 2 * Self.doubt))
    }

    func add(_ what: Case, isRight: Bool) {
        let (known, both, _) = Self.indices(what)
        byKnown[known].add(isRight ? 1 : 0, memory: Self.memory)
        byBoth[both].add(isRight ? 1 : 0, memory: Self.memory)
    }

    private static func indices(_ what: Case) -> (known: Int, both: Int, guess: Float) {
        func place(_ value: Int, _ limits: [Int]) -> Int {
            (limits.firstIndex { $0 > value } ?? limits.count) - 1
        }
        let kind = 2 * what.agreement.rawValue + (what.isNear ? 1 : 0)
        let row = (what.isForeign ? kind + 6 : kind) * lengths.count
        let length = place(what.length + what.offset, lengths)
        let both = (row + place(what.length, lengths)) * offsets.count
        let alone = guesses[what.isNear ? 1 : 0][length] * (what.isForeign ? 0.75 : 1)
        let guess =
            switch what.agreement {
            case .alone: alone
            case .unanimous: 1 - 0.4 * (1 - alone)
            case .contested: 0.4 * alone
            }
        return (row + length, both + place(what.offset, offsets), guess)
    }
}
