internal import ArgumentParser
internal import TesseraChat
internal import TesseraDecoding
internal import TesseraProfiling
internal import TesseraReporting
internal import TesseraResidency
internal import Tessera
internal import TesseraTransformer
internal import TesseraWeightFile

/// How many texts share passes.
enum Parallel: ExpressibleByArgument {
    case auto
    case fixed(Int)

    init?(argument: String) {
        if argument == "auto" {
            self = .auto
        } else if let count = Int(argument), (1...64).contains(count) {
            self = .fixed(count)
        } else {
            return nil
        }
    }
}

/// Answers several texts, some at a time, and prints a line for each, in their order.
struct BatchAnswers {
    let command: GenerateCommand
    let setup: GenerateSetup
    let lines: [BatchRequest.Line]

    /// - Throws: Where no further text can be answered, or where some were not.
    func run(startedAt start: Double) throws {
        var jobs = lines.enumerated().map { index, line in
            Result { try setup.job(try line.request.get(), index: index) }
        }
        let known = jobs.compactMap { try? $0.get() }
        let plan = try setup.batchPlan(for: known)
        let (options, places) = (plan.options, plan.places)
        setup.noteShortContext(options, for: known)
        jobs = jobs.map { job in
            Result {
                var job = try job.get()
                try setup.fit(&job, context: options.contextLength ?? 0)
                return job
            }
        }
        let model = try open(options, places: places)
        let workspace = Workspace(model)
        try setup.prepareDrafter(nextTo: workspace)
        let loadSeconds = Clock.now - start
        let store = try command.promptCache.folder.flatMap { _ in
            command.promptCache.store(for: try TokenSequence(workspace, contextLength: 64))
        }
        let planner = setup.drafting.planner(model.config.blockDecoding)
        let output = AnswerOutput(lines)
        var work: [Batch.Job] = []
        for (index, job) in jobs.enumerated() {
            switch job {
            case .failure(let error): output.put(index, error: error)
            case .success(let job):
                work.append(
                    self.job(
                        job, index, output, planner, store, loadSeconds: loadSeconds,
                        context: options.contextLength ?? 0))
            }
        }
        let steps = command.timings ? StepTotals(workspace) : nil
        let begin = Clock.now
        try Batch(workspace, places: places, planner, takeUp: store.map { $0.restore })
            .run(work) { Interruption.isRequested }
        output.finish()
        if let steps {
            let elapsed = Clock.now - begin
            let rate = Format.fixed(Double(output.tokens) / max(elapsed, 1e-9), 1)
            Terminal.note(
                "\(output.tokens) tokens in \(workspace.passCount) passes, \(places) at a time, "
                    + "\(rate) tokens/s\n" + steps.text(of: elapsed, rest: "sampling and text"))
        }
        if Interruption.isRequested { throw ExitCode(Interruption.status.rawValue) }
        guard output.failures == 0 else {
            throw CommandError(
                .badData,
                "\(output.failures) of \(lines.count) lines got an error instead of an answer")
        }
    }

    private func open(_ options: Model.Options, places: Int) throws -> Model {
        do {
            return try setup.open(options)
        } catch TransformerError.residency(.tooLittle(let budget, let needed)) where places > 1 {
            let error = ResidencyError.tooLittle(budget, needed: needed)
            throw CommandError(.usage, "\(error); or have fewer texts share passes with --parallel")
        }
    }

    private func job(
        _ job: Job, _ index: Int, _ output: AnswerOutput, _ planner: Planner,
        _ store: PromptStore?, loadSeconds: Double, context: Int
    ) -> Batch.Job {
        let ids = job.prompt.ids
        var session: Session?
        var computesMost = false
        var text = ""
        // Where the window slides, a shorter one would give another text.
        let own = command.keepLast ? nil : min(context, Batch.contextLength(ids.count + job.limit))
        return Batch.Job(prompt: ids, contextLength: own) { sequence, held in
            let made = try setup.session(
                sequence, sampling: job.sampling, startedAt: Clock.now - loadSeconds,
                cached: Array(ids[..<held]), planner: planner)
            session = made
            computesMost = 2 * held < ids.count
            var generation = Generation(
                made.decoder, tokenizer: made.source.tokenizer, limit: job.limit,
                stopStrings: job.stop, printsSpecials: command.raw, beginsText: command.chat,
                isCancelled: { Interruption.isRequested }, output: { text += $1 })
            generation.slides = command.keepLast
            generation.grammar = job.grammar
            return try generation.start(Array(ids[held...]))
        } finished: { result in
            switch result {
            case .failure(DecodingError.pass): break  // ends all of them
            case .failure(let error): output.put(index, error: error)
            case .success(var summary):
                guard let session else { return }
                // Lines that begin like another one would fill the folder with copies of it.
                if computesMost { store?.save(session.state.history, session.sequence) }
                summary.promptTokens = ids.count
                output.put(
                    index, summary.members(session, text: text, dropped: job.dropped),
                    tokens: summary.tokens.count)
            }
            session = nil  // and with it the cache
        }
    }
}

/// Prints answers in the order of the lines they belong to.
private final class AnswerOutput {
    private let lines: [BatchRequest.Line]
    /// Answers that wait for others before them.
    private var waiting: [Int: String] = [:]
    private var next = 0
    private var done = 0
    private var progress = ProgressReport("answers")
    /// Lines that got an error.
    private(set) var failures = 0
    /// Tokens of all answers.
    private(set) var tokens = 0

    init(_ lines: [BatchRequest.Line]) { self.lines = lines }

    func put(_ index: Int, error: any Error) {
        failures += 1
        let reason = "line \(lines[index].number): \(error)"
        put(index, [("error", .string(reason))], tokens: 0)
    }

    func put(_ index: Int, _ members: [(String, JSONOutput)], tokens count: Int) {
        tokens += count
        done += 1
        let place =
            [("index", JSONOutput.int(index))] + (lines[index].id.map { [("id", $0)] } ?? [])
        waiting[index] = JSONOutput.object(place + members).text + "\n"
        while let answer = waiting.removeValue(forKey: next) {
            progress.finish()
            Terminal.write(answer)
            next += 1
        }
        let sum = tokens
        progress.update(done: done, total: lines.count) { seconds in
            "\(Format.fixed(Double(sum) / max(seconds, 1e-9), 1)) tokens/s"
        }
    }

    /// Prints answers that wait for lines which will not be answered any more.
    func finish() {
        progress.finish()
        for index in waiting.keys.sorted() { Terminal.write(waiting[index] ?? "") }
        waiting.removeAll()
    }
}
