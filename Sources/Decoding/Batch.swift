public import Transformer
internal import WeightFile

/// Answers many prompts, several at a time: where one is answered, the next takes its place. Each text is
/// that of the prompt alone.
///
/// What prompts begin with is computed once: what all share, such as a system message, ahead; and what
/// a prompt shares with one at hand or just answered is copied.
public final class Batch {
    /// One prompt.
    public struct Job {
        public var prompt: [Int32]
        /// Positions of its sequence; nil: as many as the model's.
        public var contextLength: Int?
        /// Sets up its generation over a sequence that holds so many of the prompt's first tokens.
        public var begin: (_ sequence: TokenSequence, _ held: Int) throws -> GenerationRun
        /// Called once.
        public var finished: (Result<GenerationSummary, any Error>) -> Void

        public init(
            prompt: [Int32], contextLength: Int?,
            begin: @escaping (TokenSequence, Int) throws -> GenerationRun,
            finished: @escaping (Result<GenerationSummary, any Error>) -> Void
        ) {
            self.prompt = prompt
            self.contextLength = contextLength
            self.begin = begin
            self.finished = finished
        }
    }

    private let workspace: Workspace
    private let places: Int
    private let scheduler: Scheduler
    /// What holds the beginnings of prompts: sequences and the ids of their first positions.
    private var donors: [Donor] = []

    private struct Donor {
        var sequence: TokenSequence
        var ids: [Int32]
        /// Nothing is computed in it any more.
        var isIdle: Bool
        /// Holds what all prompts share.
        var isShared = false

        /// How many of the first of `ids` it holds.
        func held(of other: ArraySlice<Int32>) -> Int {
            let same = zip(ids.prefix(sequence.position), other).prefix { $0 == $1 }.count
            return sequence.canBeCopied(upTo: same) ? same : 0
        }
    }

    /// Fewer tokens than this are not worth a sequence of their own.
    private static let leastShared = 16

    /// Tokens that all of several prompts begin with, their last ones left out; 0 where they are too few
    /// to be computed ahead.
    public static func sharedCount(_ prompts: [[Int32]]) -> Int {
        guard prompts.count > 1 else { return 0 }
        var shared = prompts[0].dropLast()
        for prompt in prompts.dropFirst() {
            shared = shared.prefix(zip(shared, prompt.dropLast()).prefix { $0 == $1 }.count)
        }
        return shared.count < leastShared ? 0 : shared.count
    }

    /// Positions of the sequence of a text that may take `count`: lengths are few, so that one can take the place
    /// of another.
    public static func contextLength(_ count: Int) -> Int { (count + 63) / 64 * 64 }

    /// - Parameters:
    ///   - places: Prompts at a time, 1 or more.
    ///   - planner: That the decoders of all of them have.
    public init(_ workspace: Workspace, places: Int, _ planner: Planner = Planner()) {
        precondition(places > 0, "\(places) places")
        self.workspace = workspace
        self.places = places
        scheduler = Scheduler(workspace, planner)
    }

    /// Answers all of `jobs`.
    ///
    /// - Parameter isCancelled: Asked between passes; where it is true no further job begins.
    /// - Throws: Where passes cannot be made any more.
    public func run(
        _ jobs: [Job], isCancelled: () -> Bool = { false }
    ) throws(DecodingError) {
        defer { donors.removeAll() }
        try computeShared(jobs, isCancelled)
        var next = 0
        while true {
            while next < jobs.count, scheduler.count < places, !isCancelled() {
                guard start(jobs[next]) else { break }  // once another one is over
                next += 1
            }
            guard scheduler.count > 0 else { break }
            try scheduler.pass()
        }
    }

    /// Computes what all prompts begin with.
    private func computeShared(
        _ jobs: [Job], _ isCancelled: () -> Bool
    ) throws(DecodingError) {
        let count = Self.sharedCount(jobs.map(\.prompt))
        guard count > 0, !isBidirectional,
            let sequence = try? TokenSequence(workspace, contextLength: count)
        else { return }
        let shared = jobs[0].prompt[..<count]
        donors.append(
            Donor(sequence: sequence, ids: Array(shared), isIdle: true, isShared: true))
        var rest = shared
        while !rest.isEmpty, !isCancelled() {
            let part = Array(rest.prefix(workspace.batchCapacity))
            try sequence.pass(committed: part, logitRows: [])
            rest = rest.dropFirst(part.count)
        }
    }

    /// Whether finished blocks are not causal: their beginnings are not shared.
    private var isBidirectional: Bool {
        workspace.model.config.blockDecoding?.bidirectionalCommit ?? false
    }

    /// Begins a job; false where it has to wait for memory.
    private func start(_ job: Job) -> Bool {
        let (sequence, held): (TokenSequence, Int)
        do throws(TransformerError) {
            (sequence, held) = try place(for: job)
        } catch {
            if case .noRoomForSequence = error, scheduler.count > 0 { return false }
            job.finished(.failure(error))
            return true
        }
        do {
            let run = try job.begin(sequence, held)
            donors.append(Donor(sequence: sequence, ids: job.prompt, isIdle: false))
            scheduler.add(run, sequence) { [unowned self] result in
                release(sequence)
                job.finished(result.mapError { $0 })
            }
        } catch {
            job.finished(.failure(error))
        }
        return true
    }

    /// A sequence for a job, and how many of its prompt's first tokens it holds.
    private func place(
        for job: Job
    ) throws(TransformerError) -> (TokenSequence, Int) {
        let wanted = job.contextLength ?? workspace.model.contextLength
        if let best = best(for: job), donors[best.index].isIdle, !donors[best.index].isShared,
            donors[best.index].sequence.contextLength >= wanted
        {
            let sequence = donors.remove(at: best.index).sequence
            sequence.truncate(to: best.held)
            return (sequence, best.held)
        }
        let sequence = try sequence(wanted)
        guard let best = best(for: job) else { return (sequence, 0) }
        let isCopied = sequence.copy(donors[best.index].sequence, upTo: best.held)
        return (sequence, isCopied ? best.held : 0)
    }

    /// Who holds the most of a prompt.
    private func best(for job: Job) -> (index: Int, held: Int)? {
        guard !isBidirectional else { return nil }
        let held = donors.map { $0.held(of: job.prompt.dropLast()) }
        guard let index = held.indices.max(by: { held[$0] < held[$1] }), held[index] > 0 else {
            return nil
        }
        return (index, held[index])
    }

    /// A new sequence; where memory has no room for it, what was kept for its beginnings goes.
    private func sequence(_ contextLength: Int) throws(TransformerError) -> TokenSequence {
        for isLastTry in [false, true] {
            if let sequence = try? TokenSequence(workspace, contextLength: contextLength) {
                return sequence
            }
            donors.removeAll { $0.isIdle && (isLastTry || !$0.isShared) }
        }
        return try TokenSequence(workspace, contextLength: contextLength)
    }

    /// Keeps a sequence that is done for prompts that begin alike, instead of the one kept before.
    private func release(_ sequence: TokenSequence) {
        donors.removeAll { $0.isIdle && !$0.isShared }
        guard let index = donors.firstIndex(where: { $0.sequence === sequence }) else { return }
        donors[index].isIdle = true
    }
}
