/// What the next pass may compute for a text.
public struct Offer: Sendable, Equatable {
    /// One way to use a pass.
    public struct Option: Sendable, Equatable {
        /// Positions of the request.
        public var positions: Int
        /// Tokens that the pass is expected to give, plus the worth of the draft that it makes for later passes: their
        /// tokens less ``Planner/price`` for each unit of their time.
        public var worth: Double

        public init(positions: Int, worth: Double) {
            (self.positions, self.worth) = (positions, worth)
        }
    }

    /// Committed tokens of every option.
    public var given: Int
    /// Whether those are a prompt's. Such passes tell nothing about the times of other passes.
    public var isPrompt = false
    /// One or more options, by ascending positions. An option worth -infinity cannot be chosen.
    public internal(set) var options: [Option] = []

    public init(given: Int) { self.given = given }

    /// One way only.
    init(given: Int, positions: Int) {
        self.init(given: given)
        options = [Option(positions: positions, worth: 1)]
    }

    /// The fewest positions that can be chosen.
    var least: Int { (options.first { $0.worth > -.infinity } ?? options[0]).positions }
    /// Positions that plans leave out: those of a prompt except the last.
    var uncounted: Int { isPrompt ? given - 1 : 0 }
    /// Rows of logits that positions want at most.
    func rows(_ positions: Int) -> Int { positions - given + 1 }
}

/// What a pass may compute after the given tokens: a part of a draft, which it verifies, and masks, which make the
/// next draft.
///
/// A pass that verifies v tokens of chances c1 ... cv, each where those before it are right, and opens k masks
/// is worth
///
///     1 + c1 + c1 c2 + ... + c1 ... cv  +  c1 ... cv W(k)
///
/// tokens: those that are right, the one that the pass draws after them, and the worth of the draft that the
/// masks make, if they have seen the true text (``MaskWorth``).
struct DraftOffer {
    struct Choice {
        /// Tokens of the draft.
        var verified = 0
        /// Masks after them; never one, because the pass decides the position of a single mask anyway.
        var masks = 0
    }

    private(set) var offer = Offer(given: 1)
    /// By option.
    private(set) var choices: [Choice] = []

    /// - Parameters:
    ///   - given: Tokens that are committed in any case.
    ///   - chances: Chances of the draft's tokens to be right.
    ///   - isEnded: The draft's last token ends the text.
    ///   - limit: Tokens that are wanted at most.
    ///   - masks: What masks are worth; nil if there are none.
    mutating func fill(
        given: Int, chances: [Double], isEnded: Bool, limit: Int, masks: MaskWorth?
    ) {
        offer.given = given
        offer.options.removeAll(keepingCapacity: true)
        choices.removeAll(keepingCapacity: true)
        var (reach, tokens) = (1.0, 1.0)
        for verified in 0...chances.count {
            if verified > 0 {
                reach *= chances[verified - 1]
                tokens += reach
            }
            guard let masks, !isEnded || verified < chances.count else {
                add(Choice(verified: verified), worth: tokens)
                continue
            }
            for (index, count) in masks.choices(room: limit - verified) {
                add(
                    Choice(verified: verified, masks: count > 1 ? count : 0),
                    worth: tokens + reach * masks.worth[index])
            }
        }
    }

    /// Keeps the best choice of each number of positions.
    private mutating func add(_ choice: Choice, worth: Double) {
        let extra = choice.verified + choice.masks
        while offer.options.count <= extra {
            let positions = offer.given + offer.options.count
            offer.options.append(Offer.Option(positions: positions, worth: -.infinity))
            choices.append(Choice())
        }
        guard worth > offer.options[extra].worth else { return }
        offer.options[extra].worth = worth
        choices[extra] = choice
    }
}
