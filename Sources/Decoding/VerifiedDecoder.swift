internal import WeightFile

/// Lossless block decoding: tokens drafted through masks are kept only as far as next-token
/// prediction would have produced them. Same text as ``NextTokenDecoder``, token for token.
///
/// One pass both verifies a draft and makes the next: it commits `[last token, draft]` causally,
/// which gives the next-token distribution behind each of them, and opens masks behind the draft.
/// Every position is drawn with noise of its own, so a draft token is right exactly if it equals
/// what its distribution draws; no other rejection rule is needed, and sampled text is not merely
/// distributed like unverified text but equal to it.
///
/// The masks stand behind the *whole* draft. If it is accepted they have seen the true text, and
/// their first position is the one that the pass decides by itself, so k masks draft k - 1 tokens.
/// If it is cut they have seen a wrong token and are dropped; the next pass has no draft to verify
/// and so drafts from certain text. Masks behind every possible cut would save that pass at the
/// price of k^2 positions, which a processor pays for. Instead the draft is kept short enough to be
/// accepted: with a tokens accepted per verified draft on average, a further draft token of
/// confidence c gains c and risks (1 - c) a, so it is taken while c > a / (1 + a).
public final class VerifiedDecoder: TokenDecoder {
    public let state: DecodingState
    public var commitBlockSize: Int { 1 }
    public private(set) var blockSize = 1
    private let policy: any BlockSizePolicy
    private let mask: Int32
    private let isShifted: Bool

    private var draft: [Int32] = []
    /// Block size of the pass that made the draft.
    private var draftSize = 0
    /// Accepted draft tokens per verified draft, a moving average.
    private var acceptance: Float = 1
    // Reused in every pass.
    private var committed: [Int32] = []
    private var open: [Int32] = []
    private var rows: [Int] = []
    private var reveals: [Trace.Reveal] = []

    /// - Parameter largest: The largest size the policy asks for.
    public init(
        _ state: DecodingState, policy: any BlockSizePolicy, largest: Int
    ) throws(DecodingError) {
        try state.model.checkBlockSize(largest, rows: largest == 1 ? 1 : 2 * largest - 1)
        let traits = state.model.blockDecoding
        guard !(traits?.bidirectionalCommit ?? false) else { throw .notVerifiable }
        self.state = state
        self.policy = policy
        mask = Int32(traits?.maskToken ?? 0)
        isShifted = traits?.shiftedLogits ?? false
        draft.reserveCapacity(largest)
        rows.reserveCapacity(2 * largest)
    }

    public func step(limit: Int, into output: inout [FixedToken]) {
        precondition(!state.pending.isEmpty && limit > 0, "nothing to continue")
        if draft.count > limit - 1 { draft.removeLast(draft.count - (limit - 1)) }
        blockSize = policy.nextBlockSize()
        // No more masks than there can be tokens behind the one this pass decides.
        let masks = min(blockSize, limit - draft.count)
        let drafted = draft.count
        let given = state.pending.count
        state.trace?.begin(position: state.nextPosition, size: masks)
        run(masks: masks)
        reveals.removeAll(keepingCapacity: true)
        let before = output.count
        let verified = verify(given: given, limit: limit, into: &output)
        // Without drafts the average fades, so that no early luck makes the rule timid for good.
        acceptance += (drafted > 0 ? 0.1 : 0.02) * (Float(verified.accepted) - acceptance)
        draft.removeAll(keepingCapacity: true)
        if verified.accepted == drafted, !verified.isOver {
            makeDraft(masks: masks, firstRow: drafted + 1)
        }
        state.trace?.add(
            Trace.Pass(committed: given + drafted, open: open.count, reveals: reveals))
        if given == 1, blockSize == draftSize {
            policy.blockFinished(size: blockSize, tokens: output.count - before, passes: 1)
        } else {
            policy.blockSkipped()
        }
        draftSize = blockSize
    }

    public func finish() { draft.removeAll(keepingCapacity: true) }

    private func run(masks: Int) {
        committed.removeAll(keepingCapacity: true)
        committed.append(contentsOf: state.pending)
        committed.append(contentsOf: draft)
        open.removeAll(keepingCapacity: true)
        // A single mask would stand where this pass decides anyway.
        for _ in 0..<(masks > 1 ? masks : 0) { open.append(mask) }
        rows.removeAll(keepingCapacity: true)
        for row in state.pending.count - 1..<committed.count { rows.append(row) }
        for index in open.indices.dropFirst() {
            rows.append(committed.count + index - (isShifted ? 1 : 0))
        }
        state.model.timedForward(
            committed: committed, open: open, logitRows: rows, blockSize: 1, policy: policy)
        state.passCount += 1
    }

    /// Draws behind the last given token and behind each draft token as long as the draft agrees.
    private func verify(
        given: Int, limit: Int, into output: inout [FixedToken]
    ) -> (accepted: Int, isOver: Bool) {
        let model = state.model
        let end = model.position  // of all that was committed
        let start = end - draft.count
        state.pending.removeAll(keepingCapacity: true)
        var accepted = 0
        while true {
            let begin = accepted * model.logitStride
            let prediction = state.sampler.prepare(
                model.logits, begin: begin, history: state.history)
            let drawn = state.sampler.draw(
                model.logits, begin: begin, prediction: prediction, position: start + accepted)
            note(drawn.token, at: start + accepted, prediction)
            state.fix(drawn, into: &output)
            let isStop = state.stopTokens.contains(drawn.token)
            if accepted < draft.count, draft[accepted] == drawn.token {
                accepted += 1  // it is in the cache already
                guard isStop else { continue }
            } else {
                state.pending.append(drawn.token)
            }
            if start + accepted < end { model.truncate(to: start + accepted) }
            return (accepted, isStop)
        }
    }

    /// Draws a draft from the masks, as long as each token is worth its risk.
    private func makeDraft(masks: Int, firstRow: Int) {
        guard masks > 1 else { return }
        let model = state.model
        let start = state.nextPosition
        for index in 0..<masks - 1 {
            let begin = (firstRow + index) * model.logitStride
            let prediction = state.sampler.prepare(
                model.logits, begin: begin, history: state.history, block: draft[...])
            guard prediction.confidence > acceptance / (1 + acceptance) else { return }
            let drawn = state.sampler.draw(
                model.logits, begin: begin, prediction: prediction, position: start + index)
            draft.append(drawn.token)
            note(drawn.token, at: start + index, prediction, isKept: false)
            if state.stopTokens.contains(drawn.token) { return }
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
