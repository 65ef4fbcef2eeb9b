/// One token per pass, each from the model's next-token distribution.
public final class NextTokenDecoder: TokenDecoder {
    public let state: DecodingState
    public var commitBlockSize: Int { 1 }
    public var blockSize: Int { 1 }

    public init(_ state: DecodingState) { self.state = state }

    public func step(limit: Int, into output: inout [FixedToken]) throws(DecodingError) {
        precondition(!state.pending.isEmpty && limit > 0, "nothing to continue")
        let model = state.model
        let committed = state.pending.count
        state.trace?.begin(position: state.nextPosition, size: 1)
        try model.pass(committed: state.pending, logitRows: [committed - 1])
        state.passCount += 1
        state.pending.removeAll(keepingCapacity: true)
        let prediction = try state.sampler.prepare(
            model.logits, begin: 0, history: state.history)
        let drawn = state.sampler.draw(
            model.logits, begin: 0, prediction: prediction, position: model.position)
        let reveal = Trace.Reveal(
            position: model.position, token: drawn.token, entropy: prediction.entropy)
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
