internal import TesseraMachine
internal import TesseraWeightFile

/// Lossless decoding of several tokens per pass: tokens of a draft are kept only as far as next-token
/// prediction would have produced them. Same text as ``NextTokenDecoder``, token for token.
///
/// A pass commits `[last token, draft]` causally, which gives the next-token distribution after each of
/// them. Every position is drawn with noise of its own, so a draft token is right exactly if it equals
/// what its distribution draws; no other rejection rule is needed, and sampled text is not merely
/// distributed like unverified text but equal to it.
///
/// Drafts come from a ``DraftSource``, asked before each pass, or from masks, which the pass that verifies
/// a draft opens after it to make the next.
///
/// The masks stand after the *whole* draft. If it is accepted they have seen the true text, and
/// their first position is the one that the pass decides by itself, so k masks draft k - 1 tokens.
/// If it is cut they have seen a wrong token, and there is no draft for the next pass: what was
/// guessed after a wrong token saves no passes (see DESIGN.md). Masks after every possible cut
/// would cost k^2 positions.
public final class VerifiedDecoder: TokenDecoder {
    public let state: DecodingState
    public var commitBlockSize: Int { 1 }
    public private(set) var blockSize = 1
    public var draftSource: String? { source?.name ?? "masks" }
    public var planner: Planner? { plans }
    private let plans: Planner
    private let source: (any DraftSource)?
    private let largest: Int
    private let mask: Int32
    private let isShifted: Bool

    private var draft = Draft()
    /// Chances of the draft's tokens to be right if those before are.
    private var chances: [Double] = []
    private var offered = DraftOffer()
    /// What was chosen for the current pass.
    private var choice = DraftOffer.Choice()
    // Reused in every pass.
    private var next = Draft()
    private var committed: [Int32] = []
    private var open: [Int32] = []
    private var rows: [Int] = []
    private var reveals: [Trace.Reveal] = []

    /// - Parameters:
    ///   - planner: Its ``Planner/largest`` is the most masks of a pass.
    ///   - source: The source of drafts; nil: masks.
    ///   - largest: With a source, positions of a pass at most: a token and what is drafted after it.
    public init(
        _ state: DecodingState, _ planner: Planner, source: (any DraftSource)? = nil,
        largest: Int? = nil
    ) throws(DecodingError) {
        self.state = state
        plans = planner
        self.source = source
        self.largest = largest ?? planner.largest
        let traits = state.model.blockDecoding
        if source == nil {
            try state.model.checkBlockSize(self.largest, rows: 2 * self.largest)
            guard !(traits?.bidirectionalCommit ?? false) else { throw .notVerifiable }
        } else {
            let available = min(state.model.logitCapacity, state.model.batchCapacity)
            guard self.largest <= available else {
                throw .capacity(needed: self.largest, available: available)
            }
        }
        mask = Int32(traits?.maskToken ?? 0)
        isShifted = source == nil && (traits?.shiftedLogits ?? false)
        rows.reserveCapacity(2 * self.largest)
    }

    public func offer(limit: Int) throws(DecodingError) -> Offer {
        precondition(!state.pending.isEmpty && limit > 0, "nothing to continue")
        try askSource(limit: limit)
        draft.cut(to: min(limit, largest) - 1)
        if let grammar = state.sampler.grammar {
            try grammar.complete(&draft, after: state.history, most: min(limit, largest) - 1)
        }
        findChances()
        offered.fill(
            given: state.pending.count, chances: chances,
            isEnded: draft.tokens.last.map(state.stopTokens.contains) ?? false, limit: limit,
            masks: source == nil ? plans.masks : nil)
        return offered.offer
    }

    public func plan(_ option: Int) -> PassRequest {
        choice = offered.choices[option]
        blockSize = max(1, choice.masks)
        state.trace?.begin(position: state.nextPosition, size: blockSize)
        return request()
    }

    public func consume(
        _ result: PassResult, into output: inout [FixedToken]
    ) throws(DecodingError) {
        let given = state.pending.count
        state.passCount += 1
        reveals.removeAll(keepingCapacity: true)
        let verified = try verify(result, into: &output)
        state.draftCounts.drafted += choice.verified
        state.draftCounts.accepted += verified.accepted
        if source == nil {
            for index in 0..<min(choice.verified, verified.accepted + 1) {
                plans.confidences.add(
                    draft.confidences[index], isRight: index < verified.accepted)
            }
        }
        if verified.isOver || source != nil {
            draft.clear()
        } else {
            try makeDraft(result, accepted: verified.accepted)
        }
        state.trace?.add(
            Trace.Pass(committed: given + choice.verified, open: open.count, reveals: reveals))
    }

    public func finish() { draft.clear() }

    /// Asks the source for a draft, up to a stop token.
    private func askSource(limit: Int) throws(DecodingError) {
        guard let source else { return }
        draft.clear()
        try source.draft(
            DraftRequest(
                text: state.history, unchanged: state.takeUnchanged(),
                most: min(limit, largest) - 1, sampler: state.sampler,
                rate: plans.rate),
            into: &draft)
        for index in 0..<draft.count {
            let token = draft.tokens[index]
            guard token >= 0, Int(token) < state.model.vocabularySize else {
                throw .badDraft(
                    token, source: source.name, vocabularySize: state.model.vocabularySize)
            }
            if state.stopTokens.contains(token) {
                draft.cut(to: index + 1)
                break
            }
        }
    }

    private func findChances() {
        chances.removeAll(keepingCapacity: true)
        for confidence in draft.confidences {
            let chance =
                source == nil ? plans.confidences.chance(confidence) : Double(confidence)
            chances.append(chance > 0 ? min(chance, 1) : 0)  // 0 for what is no number
        }
    }

    private func request() -> PassRequest {
        committed.removeAll(keepingCapacity: true)
        committed.append(contentsOf: state.pending)
        committed.append(contentsOf: draft.tokens[..<choice.verified])
        open.removeAll(keepingCapacity: true)
        for _ in 0..<choice.masks { open.append(mask) }
        rows.removeAll(keepingCapacity: true)
        for row in state.pending.count - 1..<committed.count { rows.append(row) }
        for index in open.indices.dropFirst() {
            rows.append(committed.count + index - (isShifted ? 1 : 0))
        }
        return PassRequest(committed: committed, open: open, logitRows: rows)
    }

    /// Draws after the last given token and after each draft token as long as the draft agrees.
    private func verify(
        _ result: PassResult, into output: inout [FixedToken]
    ) throws(DecodingError) -> (accepted: Int, isOver: Bool) {
        let model = state.model
        let end = model.position  // of all that was committed
        let count = choice.verified
        let start = end - count
        state.pending.removeAll(keepingCapacity: true)
        var accepted = 0
        while true {
            let begin = result.begin(accepted)
            let prediction = try state.sampler.prepare(
                result.logits, begin: begin, history: state.history)
            let drawn = state.sampler.draw(
                result.logits, begin: begin, prediction: prediction, position: start + accepted)
            note(drawn.token, at: start + accepted, prediction)
            state.fix(drawn, into: &output)
            let isStop = state.stopTokens.contains(drawn.token)
            if accepted < count, draft.tokens[accepted] == drawn.token {
                accepted += 1  // it is in the cache already
                guard isStop else { continue }
            } else {
                state.pending.append(drawn.token)
            }
            if start + accepted < end { model.truncate(to: start + accepted) }
            return (accepted, isStop)
        }
    }

    /// Makes the next draft: from the masks, or from the rest of the draft if it has been right so far.
    private func makeDraft(_ result: PassResult, accepted: Int) throws(DecodingError) {
        next.clear()
        var isOver = false
        if accepted == choice.verified {
            if !open.isEmpty {
                // Their first position has just been decided.
                isOver = try drawDraft(result, from: choice.verified + 1)
            } else if accepted < draft.count, draft.tokens[accepted] == state.pending[0] {
                for index in accepted + 1..<draft.count {
                    next.append(draft.tokens[index], draft.confidences[index])
                }
            }
        }
        swap(&draft, &next)
        if accepted == choice.verified, !open.isEmpty {
            plans.masks.add(draft, masks: isOver ? .max : open.count)
        }
    }

    /// Draws from the rows of the last pass, beginning with `row`, up to a stop token; returns whether there
    /// was one.
    private func drawDraft(
        _ result: PassResult, from row: Int
    ) throws(DecodingError) -> Bool {
        for row in row..<rows.count {
            let begin = result.begin(row)
            let position = state.nextPosition + next.count
            let prediction = try state.sampler.prepare(
                result.logits, begin: begin, history: state.history, block: next.tokens[...])
            let drawn = state.sampler.draw(
                result.logits, begin: begin, prediction: prediction, position: position)
            next.append(drawn.token, prediction.confidence)
            note(drawn.token, at: position, prediction, isKept: false)
            if state.stopTokens.contains(drawn.token) { return true }
        }
        return false
    }

    private func note(
        _ token: Int32, at position: Int, _ prediction: Prediction, isKept: Bool = true
    ) {
        guard state.trace != nil else { return }
        reveals.append(
            Trace.Reveal(
                position: position, token: token, entropy: prediction.entropy, isKept: isKept))
    }
}
