public import TesseraTransformer
internal import TesseraWeightFile

/// Answers many prompts, several at a time: when one is answered, the next takes its place. Each text is
/// that of the prompt alone.
///
/// What several prompts begin with is computed once: a prompt waits while another one computes what they
/// share, and copies it. A finished sequence is kept as long as it holds the beginning of a later prompt and memory
/// has room.
public final class Batch {
    /// One prompt.
    public struct Job {
        public var prompt: [Int32]
        /// Positions of its sequence; nil: the context of the model.
        public var contextLength: Int?
        /// Sets up its generation over a sequence that holds `held` of the prompt's first tokens.
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
    private let takeUp: ((ArraySlice<Int32>, Int, TokenSequence) -> Int?)?
    /// For each job of the running call: who has computed its beginning, and how many later jobs begin as it does.
    private var beginnings: [SharedBeginning?] = []
    private var followers: [Int] = []
    /// The sequences of jobs that run, or that are done and of use to a later job, by index of the job.
    private var sequences: [Int: TokenSequence] = [:]
    private var running: Set<Int> = []

    /// Positions of the sequence of a text that may take `count`: lengths are few, so that one can take the place
    /// of another.
    public static func contextLength(_ count: Int) -> Int { (count + 63) / 64 * 64 }

    /// - Parameters:
    ///   - places: Prompts at a time, 1 or more.
    ///   - planner: The planner that all decoders share.
    ///   - takeUp: Loads more of a prompt's first tokens into a sequence than the number that it holds; returns how
    ///     many it then holds, or nil if it has changed nothing.
    public init(
        _ workspace: Workspace, places: Int, _ planner: Planner = Planner(),
        takeUp: ((ArraySlice<Int32>, _ held: Int, TokenSequence) -> Int?)? = nil
    ) {
        precondition(places > 0, "\(places) places")
        self.workspace = workspace
        self.places = places
        self.takeUp = takeUp
        scheduler = Scheduler(workspace, planner)
    }

    /// Answers all of `jobs`.
    ///
    /// - Parameter isCancelled: Called between passes; when it returns true, no further job begins.
    /// - Throws: Where passes cannot be made any more.
    public func run(
        _ jobs: [Job], isCancelled: () -> Bool = { false }
    ) throws(DecodingError) {
        defer { sequences.removeAll() }
        findBeginnings(jobs)
        var next = 0
        while true {
            while next < jobs.count, scheduler.count < places, !isCancelled() {
                guard start(next, jobs[next]) else { break }  // after another pass
                next += 1
            }
            guard scheduler.count > 0 else { break }
            try scheduler.pass()
        }
    }

    private func findBeginnings(_ jobs: [Job]) {
        // Where finished blocks are not causal, what follows a beginning changes it.
        let isCausal = !(workspace.model.config.blockDecoding?.bidirectionalCommit ?? false)
        beginnings =
            isCausal
            ? SharedBeginning.all(jobs.map(\.prompt)) : Array(repeating: nil, count: jobs.count)
        followers = Array(repeating: 0, count: jobs.count)
        for beginning in beginnings { if let beginning { followers[beginning.job] += 1 } }
    }

    /// Begins a job; false where it has to wait for its beginning, or for memory.
    private func start(_ index: Int, _ job: Job) -> Bool {
        if let beginning = beginnings[index], running.contains(beginning.job),
            let source = sequences[beginning.job], source.position < beginning.count
        {
            return false
        }
        var (sequence, held): (TokenSequence, Int)
        do throws(TransformerError) {
            (sequence, held) = try place(for: job, beginnings[index])
            held = takeUp?(job.prompt.dropLast(), held, sequence) ?? held
        } catch {
            if case .noRoomForSequence = error, scheduler.count > 0 { return false }
            forget(beginnings[index])
            job.finished(.failure(error))
            return true
        }
        forget(beginnings[index])
        do {
            let run = try job.begin(sequence, held)
            sequences[index] = sequence
            running.insert(index)
            scheduler.add(run, sequence) { [unowned self] result in
                running.remove(index)
                drop(index)
                job.finished(result.mapError { $0 })
            }
        } catch {
            job.finished(.failure(error))
        }
        return true
    }

    /// Notes that one of the jobs that share a beginning has begun.
    private func forget(_ beginning: SharedBeginning?) {
        guard let beginning else { return }
        followers[beginning.job] -= 1
        drop(beginning.job)
    }

    /// Frees the sequence of a job, unless a later job can use it.
    private func drop(_ index: Int) {
        if followers[index] == 0, !running.contains(index) { sequences[index] = nil }
    }

    /// A sequence for a job, and how many of its prompt's first tokens it holds.
    private func place(
        for job: Job, _ beginning: SharedBeginning?
    ) throws(TransformerError) -> (TokenSequence, Int) {
        let wanted = job.contextLength ?? workspace.model.contextLength
        if let (source, count) = source(beginning), let index = beginning?.job,
            followers[index] == 1, !running.contains(index), source.contextLength >= wanted
        {
            source.truncate(to: count)
            return (source, count)
        }
        let sequence = try sequence(wanted)
        guard let (source, count) = source(beginning) else { return (sequence, 0) }
        return (sequence, sequence.copy(source, upTo: count) ? count : 0)
    }

    /// The sequence that holds a beginning, and how many tokens of it.
    private func source(_ beginning: SharedBeginning?) -> (TokenSequence, Int)? {
        guard let beginning, let source = sequences[beginning.job] else { return nil }
        let count = min(source.position, beginning.count)
        return count > 0 && source.canBeCopied(upTo: count) ? (source, count) : nil
    }

    /// A new sequence. Where memory has no room for it, sequences that were kept for later prompts are freed.
    private func sequence(_ contextLength: Int) throws(TransformerError) -> TokenSequence {
        while true {
            do throws(TransformerError) {
                return try TokenSequence(workspace, contextLength: contextLength)
            } catch {
                guard case .noRoomForSequence = error,
                    let kept = sequences.keys.filter({ !running.contains($0) }).max()
                else { throw error }
                sequences[kept] = nil
            }
        }
    }
}
