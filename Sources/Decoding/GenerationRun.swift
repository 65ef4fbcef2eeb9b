internal import TesseraGrammars
internal import TesseraMachine
internal import TesseraTokenization

/// A generation in progress: it offers rows for the next pass and takes the pass's results.
public final class GenerationRun {
    private let generation: Generation
    private let decoder: any TokenDecoder
    /// Tokens of the prompt that are to be computed.
    private let promptCount: Int
    /// Most tokens that there can be.
    private let most: Int
    private let passesBefore: Int
    private let start = ContinuousClock.now
    private var first: ContinuousClock.Instant?
    private var stream: TextStream
    /// What the grammar has read so far; nil without one.
    private var grammarState: TokenGrammar.State?
    private var fixed: [FixedToken] = []
    private var asked = Asked.nothing
    /// What it has done so far.
    public private(set) var summary = GenerationSummary()
    /// Whether the generation has ended.
    public private(set) var isOver = false

    /// What the current pass was asked for.
    private enum Asked {
        case nothing
        /// A number of prompt tokens, without logits.
        case prompt(Int)
        case tokens
    }

    /// - Throws: Before anything is computed, if the context has no room for the prompt and a token.
    init(_ generation: Generation, _ prompt: [Int32]) throws(DecodingError) {
        decoder = generation.decoder
        let state = decoder.state
        let needed = prompt.count + min(generation.limit, 1)
        guard generation.slides || needed <= state.room else {
            throw .promptTooLong(
                state.history.count + prompt.count, context: state.model.contextLength)
        }
        try state.append(prompt)
        state.sampler.grammar = generation.grammar.map {
            GrammarText($0, after: state.history.count)
        }
        guard !state.pending.isEmpty else { throw .emptyPrompt }
        self.generation = generation
        promptCount = state.pending.count
        most = generation.slides ? generation.limit : min(generation.limit, state.room)
        passesBefore = state.passCount
        state.draftCounts = DraftCounts()
        stream = TextStream(generation)
        grammarState = generation.grammar?.start
        summary.promptTokens = prompt.count
        summary.tokens.reserveCapacity(min(generation.limit, 1 << 16))
        fixed.reserveCapacity(64)
    }

    /// Whether the prompt is still to be computed: a pass takes as much as there is room for.
    public var isInPrompt: Bool { summary.tokens.isEmpty && decoder.state.pending.count > 1 }

    /// What the next pass may compute; nil if the generation is over.
    ///
    /// - Parameter room: Positions that a part of the prompt may take; at least a block.
    public func offer(room: Int = .max) throws(DecodingError) -> Offer? {
        guard !isOver else { return nil }
        let state = decoder.state
        if summary.tokens.count >= most {
            end(most < generation.limit ? .context : .length)
            return nil
        }
        if generation.isCancelled() {
            let rest = stream.finish(after: "").text
            if !rest.isEmpty { generation.output(nil, rest) }
            end(.cancelled)
            return nil
        }
        if summary.tokens.isEmpty {
            generation.promptProgress(promptCount - state.pending.count, promptCount)
            let count = state.promptPart(
                room: min(room, state.model.batchCapacity), blockSize: decoder.commitBlockSize)
            guard count == 0 else {
                asked = .prompt(count)
                var offer = Offer(given: count, positions: count)
                offer.isPrompt = true
                return offer
            }
        }
        asked = .tokens
        var offer = try decoder.offer(limit: most - summary.tokens.count)
        offer.isPrompt = summary.tokens.isEmpty && offer.given > 1
        return offer
    }

    /// The request of a pass for an option of the last offer, given by its index. The result goes to ``consume(_:)``.
    public func request(_ option: Int) -> PassRequest {
        guard case .prompt(let count) = asked else { return decoder.plan(option) }
        return PassRequest(
            committed: Array(decoder.state.pending[..<count]), logitRows: [],
            blockSize: decoder.commitBlockSize)
    }

    /// Takes the logits that were asked for.
    ///
    /// - Throws: `notFinite` where a logit is; the generation is over then.
    public func consume(_ result: PassResult) throws(DecodingError) {
        let state = decoder.state
        switch asked {
        case .nothing: preconditionFailure("no pass was asked for")
        case .prompt(let count): state.pending.removeFirst(count)
        case .tokens:
            fixed.removeAll(keepingCapacity: true)
            do throws(DecodingError) {
                try decoder.consume(result, into: &fixed)
            } catch {
                fail()
                throw error
            }
            summary.largestBlock = max(summary.largestBlock, decoder.blockSize)
            if first == nil, !fixed.isEmpty {
                first = .now
                summary.firstTokens = fixed.count
            }
            if let reason = try take() { end(reason) }
        }
        asked = .nothing
    }

    /// Ends the generation where a pass could not be made.
    public func fail() {
        isOver = true
        decoder.finish()
    }

    private func end(_ reason: StopReason) {
        let state = decoder.state
        summary.stopReason = reason
        summary.forwardPasses = state.passCount - passesBefore
        summary.drafts = state.draftCounts
        let end = ContinuousClock.now
        summary.timeToFirstTokenSeconds = ((first ?? end) - start).seconds
        summary.decodeSeconds = (end - (first ?? end)).seconds
        isOver = true
        decoder.finish()
    }

    /// Turns tokens into text; tokens after a stop string, or after the end of what a grammar allows, are taken back.
    private func take() throws(DecodingError) -> StopReason? {
        for (index, token) in fixed.enumerated() {
            summary.tokens.append(token)
            let isStop = decoder.state.stopTokens.contains(token.id)
            var (text, isStopped) = stream.append(token.id)
            let isComplete = try isStop ? false : completesGrammar(token.id)
            let isLast =
                isStop || isComplete || (index == fixed.count - 1 && summary.tokens.count == most)
            if isLast && !isStopped { (text, isStopped) = stream.finish(after: text) }
            generation.output(token, text)
            if (isStopped || isComplete) && !isStop {
                decoder.finish()
                decoder.state.drop(last: fixed.count - 1 - index)
                return isStopped ? .stopString : .endOfText
            }
            if isStop { return .endOfText }
        }
        return nil
    }
}

extension GenerationRun {
    /// Whether nothing but the end can follow after a token.
    private func completesGrammar(_ token: Int32) throws(DecodingError) -> Bool {
        guard let grammar = generation.grammar, let state = grammarState else { return false }
        do throws(GrammarError) {
            grammarState = try grammar.next(state, token)
        } catch {
            throw .badOption(error.description)
        }
        return grammarState.map { grammar.isComplete($0) } ?? false
    }
}

/// Ids to text: whole characters, without stop strings.
private struct TextStream {
    private var decoder: StreamDecoder
    private var stops: StopStrings

    init(_ generation: Generation) {
        decoder = StreamDecoder(
            generation.tokenizer, printsSpecials: generation.printsSpecials,
            beginsText: generation.beginsText)
        stops = StopStrings(generation.stopStrings)
    }

    mutating func append(_ id: Int32) -> (text: String, isStopped: Bool) {
        stops.append(decoder.append(id))
    }

    /// The text that was held back, after `text`.
    mutating func finish(after text: String) -> (text: String, isStopped: Bool) {
        let rest = stops.append(decoder.finish())
        return (text + rest.text + (rest.isStopped ? "" : stops.finish()), rest.isStopped)
    }
}
