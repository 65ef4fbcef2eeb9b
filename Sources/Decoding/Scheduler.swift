public import Transformer

/// Puts the requests of several generations into passes of one workspace.
///
/// Generations in the middle of their texts come first, each in turn where a pass does not hold all of
/// them; prompts fill what room is left. A generation that fails ends alone.
public final class Scheduler {
    private let workspace: Workspace
    private var places: [Place] = []
    /// Whose turn it is first.
    private var turn = 0
    /// Of the pass at hand: segments, and the places they belong to.
    private var segments: [Segment] = []
    private var chosen: [Int] = []

    private final class Place {
        let run: GenerationRun
        let sequence: TokenSequence
        let finished: (Result<GenerationSummary, DecodingError>) -> Void
        /// Asked for and not yet in a pass.
        var request: PassRequest?

        init(
            _ run: GenerationRun, _ sequence: TokenSequence,
            _ finished: @escaping (Result<GenerationSummary, DecodingError>) -> Void
        ) {
            (self.run, self.sequence, self.finished) = (run, sequence, finished)
        }
    }

    public init(_ workspace: Workspace) { self.workspace = workspace }

    /// Generations that are on their way.
    public var count: Int { places.count }

    /// Lets a generation take part in passes until it is over.
    ///
    /// - Parameters:
    ///   - sequence: What the decoder of `run` works on; of this scheduler's workspace.
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
        collect()
        guard !segments.isEmpty else { return removeFinished() }
        let start = ContinuousClock.now
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
        var row = 0
        for (index, segment) in zip(chosen, segments) {
            let place = places[index]
            place.request = nil
            let result = PassResult(
                logits: workspace.logits, firstRow: row, stride: workspace.logitStride,
                start: segments.count == 1 ? start : nil)
            row += segment.logitRows.count
            do throws(DecodingError) {
                try place.run.consume(result)
                if place.run.isOver { place.finished(.success(place.run.summary)) }
            } catch {
                place.finished(.failure(error))
            }
        }
        segments.removeAll(keepingCapacity: true)  // whoever drops a sequence gets its memory
        removeFinished()
    }

    private func removeFinished() {
        places.removeAll { $0.run.isOver }
        turn = places.isEmpty ? 0 : (turn + 1) % places.count
    }

    /// Chooses the requests of the next pass.
    private func collect() {
        segments.removeAll(keepingCapacity: true)
        chosen.removeAll(keepingCapacity: true)
        var (positions, rows) = (workspace.batchCapacity, workspace.logitCapacity)
        for isInPrompt in [false, true] {
            for step in places.indices {
                let index = isInPrompt ? step : (turn + step) % places.count
                let place = places[index]
                guard place.run.isInPrompt == isInPrompt, positions > 0,
                    let request = request(of: place, room: positions)
                else { continue }
                // A request larger than a pass is cut, if it is alone.
                let fits = request.count <= positions && request.logitRows.count <= rows
                guard fits || segments.isEmpty else { continue }
                positions -= request.count
                rows -= request.logitRows.count
                chosen.append(index)
                segments.append(
                    Segment(
                        place.sequence, committed: request.committed, open: request.open,
                        logitRows: request.logitRows, blockSize: request.blockSize))
            }
        }
    }

    /// What a place asks for; nil where it is over.
    private func request(of place: Place, room: Int) -> PassRequest? {
        if let request = place.request { return request }
        guard !place.run.isOver else { return nil }
        do throws(DecodingError) {
            place.request = try place.run.request(room: room)
            if place.request == nil { place.finished(.success(place.run.summary)) }
        } catch {
            place.run.fail()
            place.finished(.failure(error))
        }
        return place.request
    }
}
