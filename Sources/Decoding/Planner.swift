internal import TesseraMachine

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Chooses what the next pass computes, so that all texts together get the most tokens per second.
///
/// Each text s has an ``Offer``: n(s) positions are worth w(s, n) tokens. A pass over m positions takes
/// T(m), learned from the passes so far (``PassTimes``), in units of a pass over one. Let R, the price of time, be
/// the tokens that come per unit in the long run. The pass is made so that
///
///     sum over s of w(s, n(s))  -  R T(sum over s of n(s))
///
/// is as large as can be, found by dynamic programming over the texts. R is the mean of what passes gave:
/// tokens to time. Where plans with a price R give more than R, the price rises, and where they give less it
/// falls, until no other way to plan gives more (Dinkelbach's algorithm; average-reward dynamic programming).
/// A position is thus taken if the tokens that it promises exceed R times the time that it adds: with one text
/// nearly every likely draft, with many texts hardly any.
///
/// ``DraftOffer`` computes w from chances for drafts, ``MaskWorth`` for the masks that make them, and
/// ``worth(ofBlock:slides:)`` for blocks that are not verified. All texts share the learned chances.
public final class Planner {
    private(set) var times = PassTimes()
    /// Tokens per unit of time, all texts together; 0 where passes are to be few, whatever time they take.
    public private(set) var price = 1.0
    /// Masks, or positions of a block, at most.
    public let largest: Int
    /// Whether there are always ``largest`` masks or positions.
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
    /// Passes that are left of the current lap; whether the last pass, and the current one, are without drafts.
    private var due = 0
    private var (wasSingle, isSingle) = (true, false)
    /// The cost in tokens of a pass, by its positions of one text.
    private var costs: [Double] = []
    // Reused in every pass: the largest worth of the texts so far, by positions; and each text's option.
    private var worth: [Double] = []
    private var next: [Double] = []
    private var choices: [[Int16]] = []
    private var picks: [Int] = []

    /// Number of recent passes that `sum` covers.
    private static let memory = 48.0
    /// Factor on the cost of larger passes: the best of several noisy guesses looks better than it is.
    private static let caution = 1.02

    /// - Parameters:
    ///   - largest: Masks of a draft, or positions of a block; 1 where drafts have another source.
    ///   - isFixed: Always `largest`, and as few passes as possible.
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

    /// Updates the worth of masks.
    private func updateMasks() {
        guard largest > 1 else { return }
        for positions in costs.indices {
            costs[positions] = price * time(Double(others + positions))
        }
        masks.update(confidences, costs: costs)
    }

    /// Tokens per second, all texts together; 0 where nothing is known.
    var rate: Double { times.single > 0 ? price / times.single : 0 }

    /// Time of a pass over this many positions.
    func time(_ positions: Double) -> Double { isFixed ? 1 : times.ratio(positions) }

    /// Worth in tokens of a block that is not verified. It is the tokens of the block, or those that are expected to be
    /// fixed at the beginning of a window, less the price of its further passes (P - 1 where a block is filled) and of
    /// committing the tokens.
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
    ///   - rows: Rows of logits that it may have.
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

    /// Passes without drafts show whether drafts pay. Laps of such passes are made, often at first and seldom where
    /// there is no doubt. A draft, or decided tokens of a block, are used up before a lap.
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

    /// When texts come or go, drafts are taken to add as much to single tokens as before.
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
    ///   - offers: The offers of the pass.
    ///   - picks: The chosen option of each offer.
    ///   - tokens: Tokens that the pass gave.
    ///   - seconds: Seconds that the pass took, with the work of decoders on its logits.
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
