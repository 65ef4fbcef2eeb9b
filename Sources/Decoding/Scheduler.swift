internal import TesseraMachine
public import TesseraTransformer

/// Puts the requests of several generations into passes of one workspace.
///
/// Generations in the middle of their texts come first, in turn where a pass does not hold all of them.
/// Prompts fill the room that is left, and then drafts. A generation that fails does not end the others.
public final class Scheduler {
    private let workspace: Workspace
    private let planner: Planner
    private var places: [Place] = []
    /// Whose turn it is first.
    private var turn = 0
    /// Segments of the current pass, the places they belong to, and the offers of these places.
    private var segments: [Segment] = []
    private var chosen: [Int] = []
    private var offers: [Offer] = []

    private final class Place {
        let run: GenerationRun
        let sequence: TokenSequence
        let finished: (Result<GenerationSummary, DecodingError>) -> Void
        /// The offer that was made and is not in a pass yet.
        var offer: Offer?

        init(
            _ run: GenerationRun, _ sequence: TokenSequence,
            _ finished: @escaping (Result<GenerationSummary, DecodingError>) -> Void
        ) {
            (self.run, self.sequence, self.finished) = (run, sequence, finished)
        }
    }

    /// - Parameter planner: The planner that the decoders of all generations share.
    public init(_ workspace: Workspace, _ planner: Planner) {
        (self.workspace, self.planner) = (workspace, planner)
    }

    /// Number of generations that are not over.
    public var count: Int { places.count }

    /// Lets a generation take part in passes until it is over.
    ///
    /// - Parameters:
    ///   - sequence: The sequence of the decoder of `run`, in this scheduler's workspace.
    ///   - finished: Called once, in the pass that ended it or after it.
    public func add(
        _ run: GenerationRun, _ sequence: TokenSequence,
        finished: @escaping (Result<GenerationSummary, DecodingError>) -> Void
    ) {
        precondition(sequence.workspace === workspace, "a sequence of another workspace")
        places.append(Place(run, sequence, finished))
    }

    /// One pass over as many requests as it holds.
    ///
    /// - Throws: Where a pass cannot be made; all generations have failed then.
    public func pass() throws(DecodingError) {
        let start = ContinuousClock.now
        collect()
        guard !offers.isEmpty else { return removeFinished() }
        let drafted = ContinuousClock.now
        let picks = planner.choose(
            offers, room: workspace.batchCapacity, rows: workspace.logitCapacity)
        makeSegments(picks)
        do throws(TransformerError) {
            try workspace.forward(segments)
        } catch {
            for place in places where !place.run.isOver {
                place.run.fail()
                place.finished(.failure(.pass(error)))
            }
            places.removeAll()
            throw .pass(error)
        }
        let tokens = consume()
        planner.passMade(
            offers, picks, tokens: tokens, seconds: (.now - drafted).seconds,
            drafting: (drafted - start).seconds)
        segments.removeAll(keepingCapacity: true)  // so that a dropped sequence frees its memory
        removeFinished()
    }

    private func makeSegments(_ picks: [Int]) {
        for (index, option) in zip(chosen, picks) {
            let place = places[index]
            let request = place.run.request(option)
            segments.append(
                Segment(
                    place.sequence, committed: request.committed, open: request.open,
                    logitRows: request.logitRows, blockSize: request.blockSize))
        }
    }

    /// Hands out the logits; returns how many tokens they gave.
    private func consume() -> Int {
        var (row, tokens) = (0, 0)
        for (index, segment) in zip(chosen, segments) {
            let place = places[index]
            place.offer = nil
            let result = PassResult(
                logits: workspace.logits, firstRow: row, stride: workspace.logitStride)
            row += segment.logitRows.count
            let before = place.run.summary.tokens.count
            do throws(DecodingError) {
                try place.run.consume(result)
                if place.run.isOver { place.finished(.success(place.run.summary)) }
            } catch {
                place.finished(.failure(error))
            }
            tokens += place.run.summary.tokens.count - before
        }
        return tokens
    }

    private func removeFinished() {
        places.removeAll { $0.run.isOver }
        turn = places.isEmpty ? 0 : (turn + 1) % places.count
    }

    /// Chooses who takes part in the next pass.
    private func collect() {
        chosen.removeAll(keepingCapacity: true)
        offers.removeAll(keepingCapacity: true)
        var (positions, rows) = (workspace.batchCapacity, workspace.logitCapacity)
        for isInPrompt in [false, true] {
            for step in places.indices {
                let index = isInPrompt ? step : (turn + step) % places.count
                let place = places[index]
                guard place.run.isInPrompt == isInPrompt, positions > 0,
                    let offer = offer(of: place, room: positions)
                else { continue }
                let (least, leastRows) = (offer.least, offer.rows(offer.least))
                // An offer that is larger than a pass is cut, if it is alone.
                guard least <= positions && leastRows <= rows || offers.isEmpty else { continue }
                positions -= least
                rows -= leastRows
                chosen.append(index)
                offers.append(offer)
            }
        }
    }

    /// What a place offers; nil if it is over.
    private func offer(of place: Place, room: Int) -> Offer? {
        if let offer = place.offer { return offer }
        guard !place.run.isOver else { return nil }
        do throws(DecodingError) {
            place.offer = try place.run.offer(room: room)
            if place.offer == nil { place.finished(.success(place.run.summary)) }
        } catch {
            place.run.fail()
            place.finished(.failure(error))
        }
        return place.offer
    }
}
