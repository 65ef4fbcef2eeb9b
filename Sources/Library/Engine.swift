internal import TesseraChat
internal import TesseraDecoding
internal import TesseraResidency
internal import TesseraTransformer
internal import TesseraWeightFile

/// Makes the passes of one model, one at a time, on a thread of its own: a pass may take seconds, and
/// the threads that run a program's tasks must not wait for it.
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
    /// Largest number of places.
    private var mostPlaces = 1
    private var waiting: [AnswerRequest] = []
    private var uses = 0
    private var grammars = GrammarCache()
    /// The prompt cache on disk; where its notes go.
    private var store: PromptStore?
    private let note: @Sendable (String) -> Void
    private var isPassing = false

    private struct Passes {
        let workspace: Workspace
        let drafting: Drafting
        let drafter: DraftModel?
        let planner: Planner
        let scheduler: Scheduler

        init(_ workspace: Workspace, _ drafting: Drafting, _ drafter: DraftModel?) throws {
            (self.workspace, self.drafting, self.drafter) = (workspace, drafting, drafter)
            planner = drafting.planner(workspace.model.config.blockDecoding)
            scheduler = Scheduler(workspace, planner)
            try drafter?.prepare(nextTo: workspace)
        }

        func text(
            _ source: ModelSource, _ sequence: TokenSequence, cached: [Int32] = []
        ) throws -> DecodedText {
            try DecodedText(source, sequence, drafting, planner, drafter: drafter, cached: cached)
        }
    }

    /// Where an answer is made.
    private final class Place {
        var text: DecodedText
        var isBusy = false
        /// Counter of the engine when the place was last taken.
        var use = 0
        /// Whether it has computed tokens that are not on disk.
        var isNew = false
        /// The prompt whose answer is being made.
        var prompt: [Int32] = []

        init(_ text: DecodedText) { self.text = text }

        /// How many of the first `ids` its cache holds.
        func held(_ ids: ArraySlice<Int32>) -> Int {
            let cached = text.state.history.prefix(text.sequence.position)
            return zip(cached, ids).prefix { $0 == $1 }.count
        }
    }

    /// - Parameter note: Called with one line for problems that are no errors of an answer.
    init(_ source: ModelSource, note: @escaping @Sendable (String) -> Void) {
        (self.source, self.note) = (source, note)
    }

    /// Loads the weights.
    ///
    /// - Returns: Positions of the context.
    func load(_ options: Model.Options) throws(ModelError) -> Int {
        do {
            let drafting = options.drafting(source.tokenizer)
            let drafter = try options.draftModel(for: source.file)
            let workspace = try Workspace(
                TesseraTransformer.Model(
                    source.file, options: options.planned(for: source.file, drafting, drafter)))
            passes = try Passes(workspace, drafting, drafter)
            mostPlaces = options.answers
            if let cache = options.promptCache, isCausal, let place = try newPlace() {
                store = PromptStore(
                    cache.folder, limit: cache.limit, for: place.text.sequence, note: note)
            }
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
            if passes.scheduler.count == 0 { await saveWhenIdle() }
        }
        isPassing = false
    }

    // MARK: Caches on disk

    /// Whether rows of the cache do not depend on later tokens.
    private nonisolated var isCausal: Bool {
        !(source.file.config.blockDecoding?.bidirectionalCommit ?? false)
    }

    /// Writes computed texts, one after the other, while nobody asks for an answer.
    private func saveWhenIdle() async {
        guard store != nil else { return }
        for place in places where place.isNew && !place.isBusy {
            // Requests that came meanwhile go first.
            await Task.yield()
            guard passes?.scheduler.count == 0, waiting.isEmpty else { return }
            save(place)
        }
    }

    private func save(_ place: Place) {
        guard place.isNew else { return }
        place.isNew = false
        store?.save(place.text.state.history, place.text.sequence)
    }

    /// Writes all computed texts that are not on disk.
    func save() {
        for place in places where !place.isBusy { save(place) }
    }

    /// Loads the beginning of a prompt from a file, if the file holds more of it than the place.
    private func restore(_ ids: ArraySlice<Int32>, to place: Place) throws {
        guard let store, let passes else { return }
        let sequence = place.text.sequence
        guard let count = store.restore(ids, held: place.held(ids), to: sequence) else { return }
        place.isNew = false
        place.text = try passes.text(source, sequence, cached: Array(ids.prefix(count)))
    }

    /// Begins answers that find a place.
    private func begin() {
        var index = 0
        while index < waiting.count {
            let request = waiting[index]
            if request.isCancelled {
                waiting.remove(at: index)
                request.finish(.cancelled)
                continue
            }
            // Other prompts need not wait until this one has waited.
            guard !isBeingRead(request.prompt) else {
                index += 1
                continue
            }
            do {
                guard let place = try place(for: request.prompt) else { return }
                waiting.remove(at: index)
                try begin(request, in: place)
            } catch {
                if waiting[index...].first === request { waiting.remove(at: index) }
                request.finish(throwing: ModelError(error))
            }
        }
    }

    /// Whether another place reads a prompt with the same beginning and has not reached the first difference. This
    /// prompt then waits, and copies that beginning instead of computing it again.
    private func isBeingRead(_ prompt: [Int32]) -> Bool {
        guard isCausal else { return false }
        let ids = prompt.dropLast()
        let held = places.map { $0.held(ids) }.max() ?? 0
        return places.contains { place in
            guard place.isBusy, place.text.sequence.position < place.prompt.count else {
                return false
            }
            let shared = zip(place.prompt.dropLast(), ids).prefix { $0 == $1 }.count
            return shared >= held + Self.leastShared
        }
    }

    /// The fewest common tokens that are worth a wait for another prompt.
    private static let leastShared = 32

    private func begin(_ request: AnswerRequest, in place: Place) throws {
        guard let passes else { preconditionFailure("no weights are loaded") }
        let text = place.text
        let rest = text.decoder.rest(of: request.prompt)
        text.state.sampler = text.state.sampler.with(request.sampling)
        var answer = ""
        let passesBefore = text.state.passCount
        var generation = Generation(
            text.decoder, tokenizer: source.tokenizer, limit: request.maxTokens,
            stopStrings: request.stop, beginsText: request.isAnswer,
            isCancelled: { request.isCancelled },
            output: { token, piece in
                answer += piece
                guard let token else { return }
                request.send(
                    Token(
                        id: Int(token.id), text: piece, logProbability: token.logProbability,
                        pass: token.pass - passesBefore))
            })
        if let grammar = request.grammar {
            generation.grammar = try grammars.grammar(grammar, source)
        }
        let run = try generation.start(rest)
        place.isBusy = true
        place.prompt = request.prompt
        uses += 1
        place.use = uses
        passes.scheduler.add(run, text.sequence) { result in
            place.isBusy = false
            place.prompt = []
            place.isNew = true
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

    /// The free place whose cache holds the longest beginning of a prompt; nil if all are taken.
    private func place(for prompt: [Int32]) throws -> Place? {
        let ids = prompt.dropLast()
        let free = places.filter { !$0.isBusy }
        let fullest = free.max { $0.held(ids) < $1.held(ids) }
        // Another conversation with the same beginning is not written over while there is room.
        if let fullest, 2 * fullest.held(ids) >= fullest.text.state.history.count {
            try restore(ids, to: fullest)
            return fullest
        }
        let unused = free.first { $0.text.state.history.isEmpty }
        guard let place = try unused ?? newPlace() ?? free.min(by: { $0.use < $1.use }) else {
            return nil
        }
        save(place)  // it is written over
        try copyBeginning(ids, to: place)
        try restore(ids, to: place)
        return place
    }

    private func newPlace() throws -> Place? {
        guard let passes, places.count < mostPlaces else { return nil }
        do {
            let sequence = try TokenSequence(passes.workspace)
            places.append(Place(try passes.text(source, sequence)))
            return places.last
        } catch TransformerError.noRoomForSequence where !places.isEmpty {
            mostPlaces = places.count
            return nil
        }
    }

    /// Copies the beginning of a prompt that another place has computed.
    private func copyBeginning(_ ids: ArraySlice<Int32>, to place: Place) throws {
        guard let passes else { return }
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
        place.text = try passes.text(
            source, sequence, cached: isCopied ? Array(ids.prefix(count)) : [])
    }
}
