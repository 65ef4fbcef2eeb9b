internal import TesseraMachine
public import TesseraWeightFile

/// Set Block Decoding: a block of masks after the text is filled in any order, several positions
/// per pass (arXiv 2509.04185, algorithms 2 and 3).
///
/// The first pass over a block also commits the finished one before it, causally, and so yields the
/// next-token distribution of the new block's first position, which is used there. A block of one is
/// next-token prediction: no mask is computed.
///
/// Where every pass decides the first open position, the block is a window that slides: tokens are
/// committed as soon as all before them are fixed, and as many masks follow. So no pass is spent on a
/// few last positions alone, and every pass has a next-token distribution.
///
/// Shifted logits, finished blocks that keep their bidirectional keys and values, and parts of a
/// block that are filled one after the other are properties of the model.
public final class SetBlockDecoder: TokenDecoder {
    public let state: DecodingState
    public let commitBlockSize: Int
    private let rule: RevealRule
    private let plans: Planner
    private let single: NextTokenDecoder
    private let mask: Int32
    private let isShifted: Bool
    private let isBidirectional: Bool
    /// Positions of a part of a block.
    private let partSize: Int
    /// Whether a block begins with a pass over the past alone, which decides the first position
    /// before masks are computed: the way in which models with a threshold were published.
    private let beginsAlone: Bool
    /// Whether masks follow as tokens are fixed, or only when all of a block are.
    private let slides: Bool

    private var block = Block()
    /// Whether the current pass is next-token prediction, and the positions of the block in it.
    private var isSingle = false
    private var computedCount = 0
    /// Tokens that are wanted at most, and the size of the block for each option.
    private var limit = 1
    private var sizes: [Int] = []
    private var offered = Offer(given: 1)
    // Reused in every pass.
    private var rows: [Int] = []
    private var open: [Int] = []
    private var predictions: [Prediction] = []

    /// - Parameter planner: Its ``Planner/largest`` is the most positions of a block.
    public init(
        _ state: DecodingState, rule: RevealRule, _ planner: Planner
    ) throws(DecodingError) {
        let largest = planner.largest
        try state.model.checkBlockSize(largest, rows: largest)
        try rule.validate()
        self.state = state
        self.rule = rule
        plans = planner
        single = NextTokenDecoder(state)
        let traits = state.model.blockDecoding
        mask = Int32(traits?.maskToken ?? 0)
        isShifted = traits?.shiftedLogits ?? false
        isBidirectional = traits?.bidirectionalCommit ?? false
        partSize = traits.map { $0.subBlockSize > 0 ? $0.subBlockSize : largest } ?? largest
        if case .confidence = rule {
            beginsAlone =
                (traits?.confidenceThreshold ?? 0) > 0 && (isShifted || !isBidirectional)
        } else {
            beginsAlone = false
        }
        slides = Self.slides(rule, traits, largest: largest)
        // Blocks whose tokens see each other lie at fixed places and so have one size.
        commitBlockSize = isBidirectional ? largest : 1
        predictions = Array(
            repeating: Prediction(token: 0, entropy: 0, confidence: 0, margin: 0), count: largest)
        rows.reserveCapacity(largest)
        open.reserveCapacity(largest)
    }

    /// Whether blocks of up to `largest` positions are windows that slide.
    public static func slides(
        _ rule: RevealRule, _ traits: ModelConfig.BlockDecoding?, largest: Int
    ) -> Bool {
        guard case .firstAndBound = rule, let traits else { return false }
        return !traits.shiftedLogits && !traits.bidirectionalCommit
            && (traits.subBlockSize == 0 || traits.subBlockSize >= largest)
    }

    public private(set) var blockSize = 1
    public var planner: Planner? { plans }

    public func offer(limit: Int) -> Offer {
        precondition(limit > 0, "a limit of \(limit)")
        self.limit = limit
        sizes.removeAll(keepingCapacity: true)
        let given = state.pending.count + (slides ? block.fixed : 0)
        offered.given = given
        offered.options.removeAll(keepingCapacity: true)
        if block.isEmpty || (slides && block.end == block.tokens.count) {
            let (least, most) = (block.leastSize, min(limit, plans.largest))
            // The least adds no mask, so that what is decided is used up before single tokens.
            add(plans.isFixed ? max(least, most) : least)
            for size in plans.blockSizes where size > sizes[0] && size <= most { add(size) }
        } else {
            let count = slides ? block.tokens.count - block.fixed : block.tokens.count
            offered.options.append(Offer.Option(positions: given + count, worth: 1))
        }
        return offered
    }

    private func add(_ size: Int) {
        let isAlone = size == 1 && !isBidirectional
        sizes.append(size)
        offered.options.append(
            Offer.Option(
                positions: offered.given + (isAlone ? 0 : size),
                worth: plans.worth(ofBlock: size, slides: slides)))
    }

    public func plan(_ option: Int) -> PassRequest {
        isSingle = false
        let size = sizes.isEmpty ? 0 : sizes[option]
        if block.isEmpty {
            if size == 1, !isBidirectional {
                isSingle = true
                return single.plan(option)
            }
            beginBlock(size)
        } else if slides {
            slide(to: size)
        }
        let isAlone =
            block.isPlain || (beginsAlone && block.passes == 0 && block.isOpen[0])
        let computed = isAlone ? [] : block.tokens
        computedCount = computed.count
        chooseRows(committed: state.pending.count, isAlone: isAlone)
        return PassRequest(
            committed: state.pending, open: computed, logitRows: rows, blockSize: commitBlockSize)
    }

    public func consume(
        _ result: PassResult, into output: inout [FixedToken]
    ) throws(DecodingError) {
        let committed = state.pending.count
        guard !isSingle else { return try consumeSingly(result, into: &output) }
        state.passCount += 1
        state.pending.removeAll(keepingCapacity: true)
        let decided: ArraySlice<Int>
        if state.sampler.grammar == nil {
            try predict(result)
            decided = decide(result)
        } else {
            decided = try decideInOrder(result)
        }
        record(committed: committed, open: computedCount, decided)
        block.passes += 1
        let (before, end) = (output.count, block.end)
        emit(&output)
        guard slides else { return }
        let moved = output.count - before
        plans.offsets.add((1..<max(1, min(moved + 1, end))).lazy.map { $0 < moved })
    }

    public func finish() {
        guard !block.isEmpty else { return }
        state.pending = Array(block.tokens[..<block.fixed])
        block.clear()
    }

    /// Next-token prediction, in place of a block of one.
    private func consumeSingly(
        _ result: PassResult, into output: inout [FixedToken]
    ) throws(DecodingError) {
        try single.consume(result, into: &output)
        blockSize = 1
    }

    private func beginBlock(_ wanted: Int) {
        var size = wanted
        var given: ArraySlice<Int32> = []
        if isBidirectional {
            // Blocks begin at multiples of their size; what the prompt has of this one is given.
            size = commitBlockSize
            given = state.pending.suffix(state.nextPosition % size)
            state.pending.removeLast(given.count)
        }
        precondition(
            !state.pending.isEmpty || (isBidirectional && !isShifted) || !given.isEmpty,
            "nothing to continue")
        size = min(size, given.count + limit)
        blockSize = size
        block.begin(given: given, size: size, mask: mask, at: state.nextPosition)
        block.isPlain = size == 1 && !(isBidirectional && !isShifted)
        state.trace?.begin(position: block.position, size: size)
    }

    /// Commits the tokens that are fixed and puts masks after the others.
    private func slide(to size: Int) {
        state.pending.append(contentsOf: block.tokens[..<block.fixed])
        let isOver = block.end < block.tokens.count
        block.drop(block.fixed)
        guard !isOver else { return }
        blockSize = size
        let added = block.extend(to: blockSize, mask: mask)
        state.trace?.extend(by: added)
        block.isPlain = block.tokens.count == 1
    }

    /// The rows that predict the open positions which still matter, ascending in both.
    private func chooseRows(committed: Int, isAlone: Bool) {
        rows.removeAll(keepingCapacity: true)
        open.removeAll(keepingCapacity: true)
        let partEnd = isAlone ? 1 : (block.fixed / partSize + 1) * partSize
        for position in block.fixed..<min(block.end, partEnd) where block.isOpen[position] {
            open.append(position)
            // The last committed token predicts the first position, unless it has not been
            // trained to look ahead.
            let usesNext =
                position == 0 && committed > 0 && block.passes == 0
                && (isShifted || !isBidirectional)
            rows.append(committed + position - (isShifted || usesNext ? 1 : 0))
        }
    }

    private func predict(_ result: PassResult) throws(DecodingError) {
        for (row, position) in open.enumerated() { try predict(position, row: row, result) }
    }

    private func predict(_ position: Int, row: Int, _ result: PassResult) throws(DecodingError) {
        predictions[position] = try state.sampler.prepare(
            result.logits, begin: result.begin(row), history: state.history,
            block: block.tokens[block.fixed..<position])
        block.row[position] = row
    }

    /// Draws from left to right, as far as the rule goes along: what a grammar allows at a position is known
    /// where all before it is decided.
    private func decideInOrder(_ result: PassResult) throws(DecodingError) -> ArraySlice<Int> {
        var count = 0
        while count < open.count, open[count] < block.end, open[count] == open[0] + count {
            try predict(open[count], row: count, result)
            var candidates = Array(open[...count])
            let chosen = rule.select(&candidates, predictions)
            guard count == 0 || candidates[..<chosen].contains(open[count]) else { break }
            draw(open[count], result)
            count += 1
        }
        return open[..<count]
    }

    /// Draws at the positions the rule names; returns them, ascending.
    private func decide(_ result: PassResult) -> ArraySlice<Int> {
        var count = rule.select(&open, predictions)
        // Shifted logits give the first position a prediction in the first pass only.
        if isShifted, block.isOpen[0], let first = open.firstIndex(of: 0), first >= count {
            open.swapAt(first, count)
            count += 1
        }
        for position in open[..<count] { draw(position, result) }
        return open[..<count]
    }

    private func draw(_ position: Int, _ result: PassResult) {
        let drawn = state.sampler.draw(
            result.logits, begin: result.begin(block.row[position]),
            prediction: predictions[position], position: block.position + position)
        block.decide(position, drawn, pass: state.passCount)
        if state.stopTokens.contains(drawn.token) {
            // Nothing after a stop token is ever read.
            block.end = min(block.end, position + 1)
        }
    }

    private func record(committed: Int, open: Int, _ decided: ArraySlice<Int>) {
        guard state.trace != nil else { return }
        let reveals = decided.sorted().map { position in
            Trace.Reveal(
                position: block.position + position, token: block.tokens[position],
                entropy: predictions[position].entropy)
        }
        state.trace?.add(
            Trace.Pass(committed: committed, open: open, reveals: reveals))
    }

    private func emit(_ output: inout [FixedToken]) {
        while block.fixed < block.end, !block.isOpen[block.fixed] {
            let position = block.fixed
            state.history.append(block.tokens[position])
            output.append(
                FixedToken(
                    id: block.tokens[position], logProbability: block.logProbability[position],
                    pass: block.pass[position]))
            block.fixed += 1
        }
        guard block.fixed == block.end else { return }
        if !slides {
            let passes = block.pass[block.given..<block.end]
            plans.offsets.add(
                passes.indices.dropFirst().lazy.map { passes[..<$0].contains(passes[$0]) })
        }
        state.pending.append(contentsOf: block.tokens[..<block.end])
        block.clear()
    }
}

/// The positions being filled.
private struct Block {
    var tokens: [Int32] = []
    var isOpen: [Bool] = []
    var logProbability: [Float] = []
    var pass: [Int] = []
    var row: [Int] = []
    /// Absolute position of the first token.
    var position = 0
    /// Leading tokens that are given.
    var given = 0
    /// Leading tokens that are given or handed out.
    var fixed = 0
    /// Positions from here on are after a stop token.
    var end = 0
    /// Passes over this block so far.
    var passes = 0
    /// One position, predicted by the token before it: no mask is computed.
    var isPlain = false

    var isEmpty: Bool { tokens.isEmpty }
    /// After `fixed`, up to the last position that is decided; 1 at least.
    var leastSize: Int { max(1, (isOpen.lastIndex(of: false) ?? -1) + 1 - fixed) }

    /// - Parameter position: Absolute, of the first token, given ones included.
    mutating func begin(given: ArraySlice<Int32>, size: Int, mask: Int32, at position: Int) {
        clear()
        for token in given { append(token, isOpen: false) }
        while tokens.count < size { append(mask, isOpen: true) }
        self.position = position
        self.given = given.count
        (fixed, end) = (given.count, size)
    }

    /// Takes out the first `count` tokens.
    mutating func drop(_ count: Int) {
        tokens.removeFirst(count)
        isOpen.removeFirst(count)
        logProbability.removeFirst(count)
        pass.removeFirst(count)
        row.removeFirst(count)
        position += count
        (fixed, end, passes) = (fixed - count, end - count, 0)
    }

    /// Has `size` tokens or, where some after those are decided, as many as hold them.
    ///
    /// - Returns: How many more than before.
    mutating func extend(to size: Int, mask: Int32) -> Int {
        let before = tokens.count
        while tokens.count > size, isOpen.last == true { removeLast() }
        while tokens.count < size { append(mask, isOpen: true) }
        end = tokens.count
        return end - before
    }

    private mutating func append(_ token: Int32, isOpen open: Bool) {
        tokens.append(token)
        isOpen.append(open)
        logProbability.append(0)
        pass.append(0)
        row.append(0)
    }

    private mutating func removeLast() {
        tokens.removeLast()
        isOpen.removeLast()
        logProbability.removeLast()
        pass.removeLast()
        row.removeLast()
    }

    mutating func decide(_ index: Int, _ drawn: Drawn, pass number: Int) {
        tokens[index] = drawn.token
        isOpen[index] = false
        logProbability[index] = drawn.logProbability
        pass[index] = number
    }

    mutating func clear() {
        tokens.removeAll(keepingCapacity: true)
        isOpen.removeAll(keepingCapacity: true)
        logProbability.removeAll(keepingCapacity: true)
        pass.removeAll(keepingCapacity: true)
        row.removeAll(keepingCapacity: true)
        (position, given, fixed, end, passes, isPlain) = (0, 0, 0, 0, 0, false)
    }
}
