/// The last draft of a model, and how its drafts fare: compared with what came, verified or not.
struct OfferedDraft {
    /// The draft, with the model's own probability of each token.
    private(set) var draft = Draft()
    private var curve = ConfidenceCurve()
    /// Tokens of the text when it was made.
    private var madeAt = 0
    /// Tokens that a pass after it may have given at most.
    private var most = 0
    /// Right tokens among draft tokens whose predecessors were right: a moving average.
    private(set) var hits = 0.8
    /// Tokens that a draft has been expected to give lately, less those that its time is worth; nil before
    /// the first.
    private(set) var gain: Double?
    /// The same, but below zero where the time is worth more.
    private(set) var net = 0.0

    /// Learns from the new tokens, and begins an empty draft.
    mutating func begin(_ request: DraftRequest) {
        learn(request)
        draft.clear()
        (madeAt, most) = (request.text.count, request.most + 1)
    }

    mutating func append(_ token: Int32, _ confidence: Float) { draft.append(token, confidence) }

    /// The learned chance of a token to which the model gives the probability `confidence`.
    func chance(_ confidence: Float) -> Double { curve.chance(confidence) }

    /// Offers the draft with its chances, and measures its worth.
    mutating func offer(_ request: DraftRequest, seconds: Double, into offer: inout Draft) {
        for (token, confidence) in zip(draft.tokens, draft.confidences) {
            offer.append(token, Float(chance(confidence)))
        }
        let net = offer.expected - request.rate * seconds
        self.net += (gain == nil ? 1 : 0.2) * (net - self.net)
        gain = gain.map { $0 + 0.2 * (max(0, net) - $0) } ?? max(0, net)
    }

    private mutating func learn(_ request: DraftRequest) {
        let fresh = request.text.count - madeAt
        guard madeAt <= request.unchanged, (1...max(1, most)).contains(fresh) else { return }
        for index in 0..<min(fresh, draft.count) {
            let isRight = request.text[madeAt + index] == draft.tokens[index]
            curve.add(draft.confidences[index], isRight: isRight)
            hits += 0.05 * ((isRight ? 1 : 0) - hits)
            guard isRight else { break }
        }
    }
}
