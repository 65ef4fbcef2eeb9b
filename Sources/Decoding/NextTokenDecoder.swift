/// One token per pass, each from the model's next-token distribution.
public final class NextTokenDecoder: TokenDecoder {
    public let state: DecodingState
    public var commitBlockSize: Int { 1 }
    public var blockSize: Int { 1 }

    public init(_ state: DecodingState) { self.state = state }

    public func offer(limit: Int) -> Offer {
        precondition(!state.pending.isEmpty && limit > 0, "nothing to continue")
        let given = state.pending.count
        return Offer(given: given, positions: given)
    }

    public func plan(_ option: Int) -> PassRequest {
        state.trace?.begin(position: state.nextPosition, size: 1)
        return PassRequest(committed: state.pending, logitRows: [state.pending.count - 1])
    }

    public func consume(
        _ result: PassResult, into output: inout [FixedToken]
    ) throws(DecodingError) {
        let committed = state.pending.count
        let position = state.model.position
        state.passCount += 1
        state.pending.removeAll(keepingCapacity: true)
        let begin = result.begin(0)
        let prediction = try state.sampler.prepare(
            result.logits, begin: begin, history: state.history)
        let drawn = state.sampler.draw(
            result.logits, begin: begin, prediction: prediction, position: position)
        let reveal = Trace.Reveal(
            position: position, token: drawn.token, entropy: prediction.entropy)
        state.trace?.add(Trace.Pass(committed: committed, open: 0, reveals: [reveal]))
        state.fix(drawn, into: &output)
        state.pending.append(drawn.token)
    }

    public func finish() {}
}

extension DecodingState {
    /// Hands out a token whose prefix is decided.
    func fix(_ drawn: Drawn, into output: inout [FixedToken]) {
        history.append(drawn.token)
        output.append(
            FixedToken(
                id: drawn.token, logProbability: drawn.logProbability, pass: passCount))
    }
}
