internal import TesseraMachine

/// Drafts of a second, smaller model with the same vocabulary.
///
/// It keeps a cache of its own, catches up on what the text has gained, and draws with the sampler and so
/// with the noise of the text's own positions: where both models have nearly the same distribution, they
/// nearly always draw the same token, at any temperature.
///
/// Another draft token takes d seconds and is right with a chance c. A second is worth the r tokens that come
/// in it lately, of all texts together, so the token is drawn while c > r d. If not even the first token is worth its
/// time, the drafter rests, and tries again now and then.
public final class ModelDrafts: CostlySource {
    public let name: String
    private let model: any LanguageModel
    private let stopTokens: Set<Int32>
    /// Tokens that the model's cache holds.
    private var cached: [Int32] = []
    /// How many of its first tokens are those of the text.
    private var shared = 0

    private var offered = OfferedDraft()
    /// Seconds that a draft token takes; 0 before the first.
    private var tokenSeconds = 0.0
    private var rests = 0
    public var gain: Double? { offered.gain }

    /// Passes between two drafts of a drafter that does not pay.
    private static let longestRest = 32

    /// - Parameters:
    ///   - name: The name that users see.
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
        offered.offer(request, seconds: (ContinuousClock.now - start).seconds, into: &draft)
    }

    /// Follows the text without a draft.
    public func skip(_ request: DraftRequest) {
        offered.begin(request)
        shared = min(shared, request.unchanged)
    }

    /// Whether a further token is worth its time. `reach` is the chance that all tokens before it are right.
    private func isWorthwhile(_ reach: Double, _ request: DraftRequest) -> Bool {
        reach * offered.hits > request.rate * tokenSeconds
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
                model.logits, begin: 0, history: request.text, block: offered.draft.tokens[...])
            let drawn = request.sampler.draw(
                model.logits, begin: 0, prediction: prediction,
                position: request.text.count + offered.draft.count)
            offered.append(drawn.token, prediction.confidence)
            if isSingle {
                let seconds = (ContinuousClock.now - begin).seconds
                tokenSeconds += (tokenSeconds > 0 ? 0.1 : 1) * (seconds - tokenSeconds)
            }
            reach *= offered.chance(prediction.confidence)
            guard offered.draft.count < request.most, isWorthwhile(reach, request),
                !stopTokens.contains(drawn.token)
            else { return }
            fresh = [drawn.token]
        }
    }

    /// Removes tokens from the cache that the text does not have, and returns the tokens that the cache lacks, at least
    /// one.
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
}
