internal import Machine
internal import WeightFile

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
/// The masks stand behind the *whole* draft. If it is accepted they have seen the true text, and
/// their first position is the one that the pass decides by itself, so k masks draft k - 1 tokens.
/// If it is cut they have seen a wrong token, and there is no draft for the next pass: what was
/// guessed behind a wrong token saves no passes (see DESIGN.md). Masks behind every possible cut
/// would cost k^2 positions. How much of a draft to verify, and how many masks to add, is the
/// policy's choice.
public final class VerifiedDecoder: TokenDecoder {
    public let state: DecodingState
    public var commitBlockSize: Int { 1 }
    public private(set) var blockSize = 1
    public var draftSource: String? { source?.name ?? "masks" }
    private let policy: any DraftPolicy
    private let source: (any DraftSource)?
    private let largest: Int
    private let mask: Int32
    private let isShifted: Bool

    private var draft = Draft()
    /// Of the pass at hand.
    private var plan = DraftPlan.single
    // Reused in every pass.
    private var next = Draft()
    private var committed: [Int32] = []
    private var open: [Int32] = []
    private var rows: [Int] = []
    private var reveals: [Trace.Reveal] = []

    /// - Parameter largest: The most masks the policy asks for.
    public init(
        _ state: DecodingState, policy: any DraftPolicy, largest: Int
    ) throws(DecodingError) {
        try state.model.checkBlockSize(largest, rows: largest == 1 ? 1 : 2 * largest - 1)
        let traits = state.model.blockDecoding
        guard !(traits?.bidirectionalCommit ?? false) else { throw .notVerifiable }
        self.state = state
        self.policy = policy
        source = nil
        self.largest = largest
        mask = Int32(traits?.maskToken ?? 0)
        isShifted = traits?.shiftedLogits ?? false
        rows.reserveCapacity(2 * largest)
    }

    /// - Parameter largest: Positions of a pass at most: a token and what is drafted after it.
    public init(
        _ state: DecodingState, policy: any DraftPolicy, source: any DraftSource, largest: Int
    ) throws(DecodingError) {
        let available = min(state.model.logitCapacity, state.model.batchCapacity)
        guard largest <= available else {
            throw .capacity(needed: largest, available: available)
        }
        self.state = state
        self.policy = policy
        self.source = source
        self.largest = largest
        (mask, isShifted) = (0, false)
        rows.reserveCapacity(largest)
    }

    public func plan(limit: Int) throws(DecodingError) -> PassRequest {
        precondition(!state.pending.isEmpty && limit > 0, "nothing to continue")
        try askSource(limit: limit)
        draft.cut(to: min(limit, largest) - 1)
        plan = policy.plan(draft, given: state.pending.count, limit: limit)
        if source != nil { plan.masks = 0 }
        // No more masks than there can be tokens behind the one this pass decides, and none behind
        // the end of the text.
        plan.masks = min(plan.masks, limit - plan.verified)
        if draft.tokens[..<plan.verified].contains(where: state.stopTokens.contains) {
            plan.masks = 0
        }
        blockSize = max(1, plan.masks)
        state.trace?.begin(position: state.nextPosition, size: blockSize)
        return request()
    }

    public func consume(
        _ result: PassResult, into output: inout [FixedToken]
    ) throws(DecodingError) {
        let given = state.pending.count
        state.passCount += 1
        reveals.removeAll(keepingCapacity: true)
        let before = output.count
        let verified = try verify(result, into: &output)
        policy.draftVerified(draft, verified: plan.verified, accepted: verified.accepted)
        state.draftCounts.drafted += plan.verified
        state.draftCounts.accepted += verified.accepted
        if verified.isOver || source != nil {
            draft.clear()
        } else {
            try makeDraft(result, accepted: verified.accepted)
        }
        if given == 1, let seconds = result.seconds {
            policy.passMeasured(
                positions: given + plan.verified + open.count, tokens: output.count - before,
                seconds: seconds)
        }
        state.trace?.add(
            Trace.Pass(committed: given + plan.verified, open: open.count, reveals: reveals))
    }

    public func finish() { draft.clear() }

    /// Has the source guess what follows, up to a stop token.
    private func askSource(limit: Int) throws(DecodingError) {
        guard let source else { return }
        draft.clear()
        try source.draft(
            DraftRequest(
                text: state.history, unchanged: state.takeUnchanged(),
                most: min(limit, largest) - 1, sampler: state.sampler),
            into: &draft)
        for index in 0..<draft.count {
            let token = draft.tokens[index]
            guard token >= 0, Int(token) < state.model.vocabularySize else {
                throw .badDraft(
                    token, source: source.name, vocabularySize: state.model.vocabularySize)
            }
            if state.stopTokens.contains(token) {
                draft.cut(to: index + 1)
                draft.isOver = true
                break
            }
        }
    }

    private func request() -> PassRequest {
        committed.removeAll(keepingCapacity: true)
        committed.append(contentsOf: state.pending)
        committed.append(contentsOf: draft.tokens[..<plan.verified])
        open.removeAll(keepingCapacity: true)
        // A single mask would stand where this pass decides anyway.
        for _ in 0..<(plan.masks > 1 ? plan.masks : 0) { open.append(mask) }
        rows.removeAll(keepingCapacity: true)
        for row in state.pending.count - 1..<committed.count { rows.append(row) }
        for index in open.indices.dropFirst() {
            rows.append(committed.count + index - (isShifted ? 1 : 0))
        }
        return PassRequest(committed: committed, open: open, logitRows: rows)
    }

    /// Draws behind the last given token and behind each draft token as long as the draft agrees.
    private func verify(
        _ result: PassResult, into output: inout [FixedToken]
    ) throws(DecodingError) -> (accepted: Int, isOver: Bool) {
        let model = state.model
        let end = model.position  // of all that was committed
        let count = plan.verified
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

    /// Guesses what follows what was verified: by the masks, or by what was left of the draft if that
    /// has been right so far.
    private func makeDraft(_ result: PassResult, accepted: Int) throws(DecodingError) {
        next.clear()
        if accepted == plan.verified {
            if !open.isEmpty {
                // Their first position has just been decided.
                try drawDraft(result, from: plan.verified + 1)
                next.isNew = true
            } else if accepted < draft.count, draft.tokens[accepted] == state.pending[0] {
                for index in accepted + 1..<draft.count {
                    next.append(draft.tokens[index], draft.confidences[index])
                }
                next.isOver = draft.isOver
            }
        }
        swap(&draft, &next)
    }

    /// Draws from the rows of the last pass, beginning with `row`, up to a stop token.
    private func drawDraft(_ result: PassResult, from row: Int) throws(DecodingError) {
        for row in row..<rows.count {
            let begin = result.begin(row)
            let position = state.nextPosition + next.count
            let prediction = try state.sampler.prepare(
                result.logits, begin: begin, history: state.history, block: next.tokens[...])
            let drawn = state.sampler.draw(
                result.logits, begin: begin, prediction: prediction, position: position)
            next.append(drawn.token, prediction.confidence)
            note(drawn.token, at: position, prediction, isKept: false)
            if state.stopTokens.contains(drawn.token) { return next.isOver = true }
        }
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
