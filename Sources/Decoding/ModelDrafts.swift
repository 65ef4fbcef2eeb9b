internal import Machine

/// Drafts of a second, smaller model with the same vocabulary.
///
/// It keeps a cache of its own, catches up on what the text has gained, and draws with the sampler and so
/// with the noise of the text's own positions: where both models have nearly the same distribution, they
/// nearly always draw the same token, at any temperature.
///
/// Another draft token takes d seconds and is right with a chance c. A second is worth the r tokens that come
/// in it lately, of all texts together, so it is drawn while c > r d. Where not even the first is, the drafter rests,
/// and tries again now and then.
public final class ModelDrafts: DraftSource {
    public let name: String
    private let model: any LanguageModel
    private let stopTokens: Set<Int32>
    /// What the model's cache holds.
    private var cached: [Int32] = []
    /// So many of its first tokens are the text's.
    private var shared = 0

    /// The last draft, with the model's confidences, and the tokens of the text when it was made.
    private var offered = Draft()
    private var offeredAt = 0
    /// Tokens that a pass after it may have given.
    private var most = 0
    private var curve = ConfidenceCurve()
    /// Right tokens among draft tokens whose predecessors were right: a moving average.
    private var hits = 0.8
    /// Seconds that a draft token takes; 0 before the first.
    private var tokenSeconds = 0.0
    private var rests = 0
    /// Tokens that a draft has been expected to give lately, less those that its time is worth; nil before
    /// the first.
    private(set) var gain: Double?

    /// Passes between two drafts of a drafter that does not pay.
    private static let longestRest = 32

    /// - Parameters:
    ///   - name: As users call it.
    ///   - stopTokens: Ids after which nothing is drafted.
    public init(_ model: any LanguageModel, name: String, stopTokens: Set<Int32>) {
        self.model = model
        self.name = name
        self.stopTokens = stopTokens
    }

    public func draft(_ request: DraftRequest, into draft: inout Draft) throws(DecodingError) {
        skip(request)
        let start = ContinuousClock.now
        rests += 1
        guard request.most > 0, isWorthwhile(1, request) || rests > Self.longestRest else { return }
        rests = 0
        try draw(request)
        for (token, confidence) in zip(offered.tokens, offered.confidences) {
            draft.append(token, Float(curve.chance(confidence)))
        }
        let seconds = (ContinuousClock.now - start).seconds
        let gain = max(0, draft.expected - request.rate * seconds)
        self.gain = self.gain.map { $0 + 0.2 * (gain - $0) } ?? gain
    }

    /// Follows the text without a draft.
    func skip(_ request: DraftRequest) {
        learn(request)
        shared = min(shared, request.unchanged)
        offered.clear()
        (offeredAt, most) = (request.text.count, request.most + 1)
    }

    /// Whether a token that counts if all before it are right, with the chance `reach`, is worth its time.
    private func isWorthwhile(_ reach: Double, _ request: DraftRequest) -> Bool {
        reach * hits > request.rate * tokenSeconds
    }

    private func draw(_ request: DraftRequest) throws(DecodingError) {
        var fresh = catchUp(with: request)
        var reach = 1.0
        while true {
            let begin = ContinuousClock.now
            let isSingle = fresh.count == 1
            try model.pass(committed: fresh, logitRows: [fresh.count - 1])
            cached += fresh
            let prediction = try request.sampler.prepare(
                model.logits, begin: 0, history: request.text, block: offered.tokens[...])
            let drawn = request.sampler.draw(
                model.logits, begin: 0, prediction: prediction,
                position: request.text.count + offered.count)
            offered.append(drawn.token, prediction.confidence)
            if isSingle {
                let seconds = (ContinuousClock.now - begin).seconds
                tokenSeconds += (tokenSeconds > 0 ? 0.1 : 1) * (seconds - tokenSeconds)
            }
            reach *= curve.chance(prediction.confidence)
            guard offered.count < request.most, isWorthwhile(reach, request),
                !stopTokens.contains(drawn.token)
            else { return }
            fresh = [drawn.token]
        }
    }

    /// Takes back what the cache holds and the text has not; returns what it lacks, one token at least.
    private func catchUp(with request: DraftRequest) -> [Int32] {
        let text = request.text
        var same = shared
        while same < min(cached.count, text.count), cached[same] == text[same] { same += 1 }
        same = min(same, text.count - 1)
        if same < cached.count {
            if model.canTruncate(to: same) {
                model.truncate(to: same)
            } else {
                model.reset()
                same = 0
            }
            cached.removeLast(cached.count - same)
        }
        shared = text.count  // once it is computed
        return Array(text[same...])
    }

    /// Compares the last draft with what came, whether it was verified or not.
    private func learn(_ request: DraftRequest) {
        let fresh = request.text.count - offeredAt
        guard offeredAt <= request.unchanged, (1...max(1, most)).contains(fresh) else { return }
        for index in 0..<min(fresh, offered.count) {
            let isRight = request.text[offeredAt + index] == offered.tokens[index]
            curve.add(offered.confidences[index], isRight: isRight)
            hits += 0.05 * ((isRight ? 1 : 0) - hits)
            guard isRight else { break }
        }
    }
}
