internal import Chat
internal import Decoding
internal import Residency
internal import Transformer
internal import WeightFile

/// Everything that computes with one model, a pass at a time, on a thread of its own: a pass may take
/// seconds, and none of the threads that run a program's tasks is to wait for it.
///
/// Answers are made in places, each with a cache that keeps what was computed last. An answer takes the
/// place that holds the beginning of its prompt, or waits until one is free.
actor Engine {
    private nonisolated let queue = SerialQueue()
    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe queue.asUnownedSerialExecutor()
    }

    private let source: ModelSource
    private var passes: Passes?
    private var places: [Place] = []
    /// Places that there may be.
    private var mostPlaces = 1
    private var waiting: [AnswerRequest] = []
    private var uses = 0
    private var grammars = GrammarCache()
    private var isPassing = false

    private struct Passes {
        let workspace: Workspace
        let drafting: Drafting
        let planner: Planner
        let scheduler: Scheduler

        init(_ workspace: Workspace, _ drafting: Drafting) {
            (self.workspace, self.drafting) = (workspace, drafting)
            planner = drafting.planner(workspace.model.config.blockDecoding)
            scheduler = Scheduler(workspace, planner)
        }
    }

    /// Where an answer is made.
    private final class Place {
        var text: DecodedText
        var isBusy = false
        /// When it was taken last.
        var use = 0

        init(_ text: DecodedText) { self.text = text }

        /// How many of the first of `ids` its cache holds.
        func held(_ ids: ArraySlice<Int32>) -> Int {
            let cached = text.state.history.prefix(text.sequence.position)
            return zip(cached, ids).prefix { $0 == $1 }.count
        }
    }

    init(_ source: ModelSource) { self.source = source }

    /// Loads the weights.
    ///
    /// - Returns: Positions of the context.
    func load(_ options: Model.Options) throws(ModelError) -> Int {
        do {
            let drafting = options.drafting(source.tokenizer)
            let workspace = try Workspace(
                Transformer.Model(
                    source.file, options: options.planned(for: source.file, drafting)))
            passes = Passes(workspace, drafting)
            mostPlaces = options.answers
            return workspace.model.contextLength
        } catch {
            throw ModelError(error)
        }
    }

    /// Answers as soon as there is a place.
    func answer(_ request: AnswerRequest) {
        waiting.append(request)
        begin()
        guard !isPassing else { return }
        isPassing = true
        Task { await self.pass() }
    }

    /// Makes passes until no answer wants another.
    private func pass() async {
        guard let passes else { return }
        while passes.scheduler.count > 0 {
            // A failure has reached every answer.
            try? passes.scheduler.pass()
            begin()
            await Task.yield()
        }
        isPassing = false
    }

    /// Begins answers that find a place.
    private func begin() {
        while let request = waiting.first {
            if request.isCancelled {
                waiting.removeFirst()
                request.finish(.cancelled)
                continue
            }
            do {
                guard let place = try place(for: request.prompt) else { return }
                waiting.removeFirst()
                try begin(request, in: place)
            } catch {
                if waiting.first === request { waiting.removeFirst() }
                request.finish(throwing: ModelError(error))
            }
        }
    }

    private func begin(_ request: AnswerRequest, in place: Place) throws {
        guard let passes else { preconditionFailure("no weights are loaded") }
        let text = place.text
        let rest = text.decoder.rest(of: request.prompt)
        text.state.sampler = text.state.sampler.with(request.sampling)
        var answer = ""
        var generation = Generation(
            text.decoder, tokenizer: source.tokenizer, limit: request.maxTokens,
            stopStrings: request.stop, beginsText: request.isAnswer,
            isCancelled: { request.isCancelled },
            output: { token, piece in
                answer += piece
                guard let token else { return }
                request.send(
                    Token(id: Int(token.id), text: piece, logProbability: token.logProbability))
            })
        if let grammar = request.grammar {
            generation.grammar = try grammars.grammar(grammar, source)
        }
        let run = try generation.start(rest)
        place.isBusy = true
        uses += 1
        place.use = uses
        passes.scheduler.add(run, text.sequence) { result in
            place.isBusy = false
            var summary = run.summary
            summary.promptTokens = request.prompt.count
            let cached = request.prompt.count - rest.count
            switch result {
            case .success: request.finish(answer, summary, cached: cached)
            case .failure(let error):
                request.finish(answer, summary, cached: cached, failure: ModelError(error))
            }
        }
    }

    // MARK: Places

    /// A free place whose cache holds as much of a prompt as any does; nil where all are taken.
    private func place(for prompt: [Int32]) throws -> Place? {
        let ids = prompt.dropLast()
        let free = places.filter { !$0.isBusy }
        let fullest = free.max { $0.held(ids) < $1.held(ids) }
        // Another conversation with the same beginning is not written over while there is room.
        if let fullest, 2 * fullest.held(ids) >= fullest.text.state.history.count { return fullest }
        guard let place = try newPlace() ?? free.min(by: { $0.use < $1.use }) else { return nil }
        try copyBeginning(ids, to: place)
        return place
    }

    private func newPlace() throws -> Place? {
        guard let passes, places.count < mostPlaces else { return nil }
        do {
            let sequence = try TokenSequence(passes.workspace)
            places.append(Place(try DecodedText(source, sequence, passes.drafting, passes.planner)))
            return places.last
        } catch TransformerError.noRoomForSequence where !places.isEmpty {
            mostPlaces = places.count
            return nil
        }
    }

    /// Takes over what another place has computed of a prompt.
    private func copyBeginning(_ ids: ArraySlice<Int32>, to place: Place) throws {
        guard let passes else { return }
        let isCausal = !(source.file.config.blockDecoding?.bidirectionalCommit ?? false)
        let donors = places.filter {
            $0 !== place && $0.text.sequence.canBeCopied(upTo: $0.held(ids))
        }
        guard isCausal, let donor = donors.max(by: { $0.held(ids) < $1.held(ids) }),
            donor.held(ids) > place.held(ids)
        else { return }
        let count = donor.held(ids)
        let sequence = place.text.sequence
        sequence.reset()
        let isCopied = sequence.copy(donor.text.sequence, upTo: count)
        place.text = try DecodedText(
            source, sequence, passes.drafting, passes.planner,
            cached: isCopied ? Array(ids.prefix(count)) : [])
    }
}
