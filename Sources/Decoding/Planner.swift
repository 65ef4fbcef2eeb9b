internal import TesseraMachine

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Chooses what the next pass computes, so that all texts together get the most tokens per second.
///
/// Of each text s there is an ``Offer``: n(s) positions are worth w(s, n) tokens. A pass over m positions takes
/// T(m), learned from the passes so far (``PassTimes``), in units of a pass over one. Let R, the price of time, be
/// the tokens that come per unit in the long run. The pass is made so that
///
///     sum over s of w(s, n(s))  -  R T(sum over s of n(s))
///
/// is as large as can be, found by dynamic programming over the texts. R is the mean of what passes gave:
/// tokens to time. Where plans with a price R give more than R, the price rises, and where they give less it
/// falls, until no other way to plan gives more (Dinkelbach's algorithm; average-reward dynamic programming).
/// A position is thus taken where the tokens that it promises exceed R times the time that it adds: of one text
/// nearly every likely draft, of many texts hardly any.
///
/// How w follows from chances is told in ``DraftOffer`` for drafts, in ``MaskWorth`` for the masks that make
/// them, and in ``worth(ofBlock:slides:)`` for blocks that are not verified. What is learned of chances is
/// shared by all texts.
public final class Planner {
    private(set) var times = PassTimes()
    /// Tokens per unit of time, all texts together; 0 where passes are to be few, whatever time they take.
    public private(set) var price = 1.0
    /// Masks, or positions of a block, at most.
    public let largest: Int
    /// Always so many.
    public let isFixed: Bool
    /// Positions of a block to choose from, ascending.
    let blockSizes: [Int]
    var masks: MaskWorth
    var confidences = ConfidenceCurve()
    var offsets: OffsetCurve
    public let lookups = LookupChances()

    /// Tokens and time of the latest passes.
    private var sum = (tokens: 8.0, time: 8.0)
    /// Texts of the last pass, and positions of each text's others in it.
    private var texts = 1
    private var others = 0
    /// Laps of passes without drafts so far, and time since the last one.
    private var (laps, sinceLap) = (0, 0.0)
    /// Passes that are left of the lap at hand; and whether the last pass, and the one at hand, are without drafts.
    private var due = 0
    private var (wasSingle, isSingle) = (true, false)
    /// By positions of one text: what a pass costs, in tokens.
    private var costs: [Double] = []
    // Reused in every pass: by positions, what those of the texts so far are worth; and each text's option.
    private var worth: [Double] = []
    private var next: [Double] = []
    private var choices: [[Int16]] = []
    private var picks: [Int] = []

    /// Passes that `sum` goes back.
    private static let memory = 48.0
    /// What a larger pass is taken to cost more than it seems: of several guesses that are off, the best looks
    /// better than it is.
    private static let caution = 1.02

    /// - Parameters:
    ///   - largest: Masks of a draft, or positions of a block; 1 where drafts have another source.
    ///   - isFixed: Always `largest`, and as few passes as can be.
    public init(largest: Int = 1, isFixed: Bool = false) {
        (self.largest, self.isFixed) = (largest, isFixed)
        blockSizes =
            isFixed
            ? [largest]
            : [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64].filter { $0 <= largest }
        masks = MaskWorth(largest: largest, isFixed: isFixed)
        offsets = OffsetCurve(count: max(0, largest - 1))
        costs = Array(repeating: 0, count: 2 * largest + 1)
        updateMasks()
    }

    /// Finds what masks are worth by now.
    private func updateMasks() {
        guard largest > 1 else { return }
        for positions in costs.indices {
            costs[positions] = price * time(Double(others + positions))
        }
        masks.update(confidences, costs: costs)
    }

    /// Tokens per second, all texts together; 0 where nothing is known.
    var rate: Double { times.single > 0 ? price / times.single : 0 }

    /// Time of a pass over so many positions.
    func time(_ positions: Double) -> Double { isFixed ? 1 : times.ratio(positions) }

    /// Tokens that a block is worth that is not verified: its own, or those that are expected to be fixed at the
    /// beginning of a window, less the price of its further passes, P - 1 where a block is filled, and of
    /// committing them.
    func worth(ofBlock size: Int, slides: Bool) -> Double {
        var (tokens, passes, reach) = (slides ? 1 : Double(size), 1.0, 1.0)
        for chance in offsets.chances.prefix(size - 1) {
            reach *= chance
            if slides { tokens += reach } else { passes += 1 - chance }
        }
        let later =
            (passes - 1) * time(Double(size)) + time(Double(size) + tokens)
            - time(Double(size + 1))
        return tokens - price * later
    }

    /// The option of the only offer, by index.
    public func choose(_ offer: Offer, for model: any LanguageModel) -> Int {
        choose([offer], room: model.batchCapacity, rows: model.logitCapacity)[0]
    }

    /// The option of each offer, by index.
    ///
    /// - Parameters:
    ///   - room: Positions of the pass.
    ///   - rows: Of logits that it may have.
    /// - Precondition: The smallest options fit.
    public func choose(_ offers: [Offer], room: Int, rows: Int) -> [Int] {
        let uncounted = offers.reduce(0) { $0 + $1.uncounted }
        let rowless = offers.reduce(0) { $0 + $1.given - 1 }
        let least = offers.reduce(0) { $0 + $1.least } - uncounted
        // Sizes are tried in steps of two at most, and none before the least was timed.
        let tried = isFixed ? room : times.longest == 0 ? least : max(2 * times.longest, least + 4)
        let most = max(least, min(room, rows + rowless, tried + uncounted) - uncounted)
        setTexts(offers.count)
        findWorth(offers, most: most)
        var best = (value: -Double.infinity, positions: least)
        if due == 0, !isFixed, sinceLap >= Double(lap) * pause { due = lap }
        for positions in least...(due > 0 ? least : most) where worth[positions] > -.infinity {
            let caution = positions > least ? Self.caution : 1
            let value = worth[positions] - price * caution * time(Double(positions))
            if value > best.value { best = (value, positions) }
        }
        picks.removeAll(keepingCapacity: true)
        for _ in offers { picks.append(0) }
        var rest = best.positions
        for index in offers.indices.reversed() {
            picks[index] = Int(choices[index][rest])
            rest -= offers[index].options[picks[index]].positions - offers[index].uncounted
        }
        isSingle = best.positions == offers.count
        others = best.positions - best.positions / max(1, offers.count)
        return picks
    }

    /// Fills `worth`: by positions, the most that options with so many are worth.
    private func findWorth(_ offers: [Offer], most: Int) {
        while worth.count <= most {
            worth.append(0)
            next.append(0)
        }
        while choices.count < offers.count { choices.append([]) }
        for positions in 0...most { worth[positions] = positions == 0 ? 0 : -.infinity }
        for (index, offer) in offers.enumerated() {
            while choices[index].count <= most { choices[index].append(0) }
            for positions in 0...most { next[positions] = -.infinity }
            for before in 0...most where worth[before] > -.infinity {
                for (choice, option) in offer.options.enumerated() {
                    let positions = before + option.positions - offer.uncounted
                    guard positions <= most else { break }
                    let value = worth[before] + option.worth
                    guard value > next[positions] else { continue }
                    next[positions] = value
                    choices[index][positions] = Int16(choice)
                }
            }
            swap(&worth, &next)
        }
    }

    /// Whether drafts pay is seen next to passes without any: laps of those are made, at first often and seldom
    /// where there is no doubt. What is left of a draft, or decided in a block, is used up before a lap.
    ///
    /// - Returns: Units of time from one lap to the next, to its passes.
    private var pause: Double { min(price > 1.5 * singleRate ? 128 : 32, exp2(Double(3 + laps))) }

    /// Passes of a lap: the first finds other data in the processor's caches, which matters most where passes are
    /// short, and does not count.
    private var lap: Int { times.single < 5e-3 ? 4 : 2 }

    private func noteLap(_ time: Double) {
        sinceLap += time
        if isSingle, due > 0 {
            due -= 1
            if due == 0 { (laps, sinceLap) = (laps + 1, 0) }
        }
        wasSingle = isSingle
    }

    /// Where texts come or go, what drafts have added to single tokens is taken to be as before.
    private func setTexts(_ count: Int) {
        guard count != texts else { return }
        let gain = price / singleRate
        texts = count
        price = gain * singleRate
        sum = (4 * price, 4)
    }

    /// Tokens per unit of time where each text gets one in a pass.
    private var singleRate: Double { Double(texts) / time(Double(texts)) }

    /// A pass was made.
    ///
    /// - Parameters:
    ///   - offers: What it was chosen from.
    ///   - picks: The options.
    ///   - tokens: That it gave.
    ///   - seconds: That it took, with all that decoders did with its logits.
    ///   - drafting: Seconds that the offers took before it.
    public func passMade(
        _ offers: [Offer], _ picks: [Int], tokens: Int, seconds: Double, drafting: Double
    ) {
        guard !offers.contains(where: \.isPrompt) else { return }
        let positions = zip(offers, picks).reduce(0) { $0 + $1.0.options[$1.1].positions }
        if !isFixed, wasSingle || !isSingle { times.add(positions: positions, seconds: seconds) }
        let share = 1 - 1 / Self.memory
        let time = time(Double(positions))
        let drafts = isFixed ? 0 : drafting / max(times.single, 1e-9)
        sum.tokens = share * sum.tokens + Double(tokens)
        sum.time = share * sum.time + time + drafts
        price = max(sum.tokens / sum.time, singleRate)  // which can always be had
        noteLap(time)
        updateMasks()
    }
}
