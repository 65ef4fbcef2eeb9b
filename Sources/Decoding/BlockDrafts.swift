internal import TesseraKernels
internal import TesseraMachine
public import TesseraTransformer

/// Drafts of a block drafter, which reads what the target computes and guesses several tokens at once.
///
/// Each token is drawn with the text's sampler and noise, from its row of the block with what the token before adds. A
/// draft takes much the same time whatever its length. While drafts are worth less than their time, the drafter rests, and tries again now and then.
public final class BlockDrafts: CostlySource {
    public let name: String
    private let context: DraftContext
    private let stopTokens: Set<Int32>
    /// `[vocabularySize]`: a row of logits with a place for each id, where the head has fewer.
    private let row: Buffer<Float>
    private let vocabularySize: Int
    private var offered = OfferedDraft()
    private var rests = 0

    /// Passes between two drafts of a drafter that does not pay.
    private static let longestRest = 32
    /// Stands for the logit of a token that cannot be drafted.
    private static let never: Float = -1e30

    /// - Parameters:
    ///   - context: The draft context of the text.
    ///   - name: The name that users see.
    ///   - vocabularySize: The vocabulary size of the target.
    ///   - stopTokens: Ids after which nothing is drafted.
    public init(
        _ context: DraftContext, name: String, vocabularySize: Int, stopTokens: Set<Int32>
    ) {
        self.context = context
        self.name = name
        self.vocabularySize = vocabularySize
        self.stopTokens = stopTokens
        row = Buffer(count: context.draftTokens.isEmpty ? 0 : vocabularySize)
    }

    public var gain: Double? { offered.gain }

    public func skip(_ request: DraftRequest) { offered.begin(request) }

    public func draft(_ request: DraftRequest, into draft: inout Draft) throws(DecodingError) {
        skip(request)
        let count = min(request.most, context.most)
        rests += 1
        // The context ends before the last token, except before the first pass of a text that comes from elsewhere.
        guard count > 0, let anchor = request.text.last,
            context.position == request.text.count - 1,
            offered.gain == nil || offered.net > 0 || rests > Self.longestRest
        else { return }
        rests = 0
        let start = ContinuousClock.now
        do throws(TransformerError) {
            try context.open(anchor: anchor, count: count)
        } catch {
            throw .pass(error)
        }
        draw(request, anchor: anchor, count: count)
        offered.offer(request, seconds: (ContinuousClock.now - start).seconds, into: &draft)
    }

    /// Draws one token after the other. A value that is no number ends the draft; the text does not depend on the draft.
    private func draw(_ request: DraftRequest, anchor: Int32, count: Int) {
        var previous = anchor
        for index in 0..<count {
            let said = context.finish(row: index, previous: previous)
            let (logits, begin) = place(index)
            guard
                let prediction = try? request.sampler.prepare(
                    logits, begin: begin, history: request.text,
                    block: offered.draft.tokens[...])
            else { return }
            let drawn = request.sampler.draw(
                logits, begin: begin, prediction: prediction,
                position: request.text.count + index)
            let confidence = said ?? prediction.confidence
            offered.append(drawn.token, confidence.isFinite ? confidence : 0)
            if stopTokens.contains(drawn.token) { return }
            previous = drawn.token
        }
    }

    /// Where the logits of all ids stand.
    private func place(_ index: Int) -> (Buffer<Float>, begin: Int) {
        let (ids, begin) = (context.draftTokens, index * context.logitStride)
        guard !ids.isEmpty else { return (context.logits, begin) }
        row.withMutableSpan(0..<vocabularySize) { row in
            for id in row.indices { row[id] = Self.never }
        }
        for (column, id) in ids.enumerated() { row[Int(id)] = context.logits[begin + column] }
        return (row, 0)
    }
}
