public import TesseraDecoding
internal import TesseraKernels
public import TesseraTransformer
internal import TesseraWeightFile

/// Times of passes of one size at one context.
public struct PassSamples: Sendable, Equatable {
    /// Positions of all texts together.
    public var positions: Int
    /// Texts.
    public var sequences = 1
    public var context: Int
    /// Seconds of each repetition.
    public var seconds: Distribution
    /// When each began, nanoseconds of the monotonic clock.
    public var starts: [UInt64] = []
    /// Steps of further passes, which took turns with the timed ones; nil if the caller did not ask for them.
    public var operations: OperationTimes?
    /// Seconds of each of those passes.
    public var recordedSeconds: Distribution?
    /// The last of them, step by step.
    public var steps: [PassStep] = []
    /// Its reads of streamed weights, and the median of the bytes that passes read.
    public var reads: [PassRead] = []
    public var streamedBytes = 0.0

    public init(positions: Int, context: Int, seconds: Distribution) {
        self.positions = positions
        self.context = context
        self.seconds = seconds
    }

    /// Seconds that noting one step took.
    public var secondsPerStep = 0.0

    /// E.g. `8 positions at context 1024`, `16 x 4 positions at context 0`.
    public var title: String {
        "\(size) position\(positions == 1 ? "" : "s") at context \(context)"
    }

    /// Positions of each text.
    public var positionsOfEach: Int { positions / sequences }

    /// E.g. `8`, `16 x 4` where there are several texts.
    public var size: String {
        sequences == 1 ? "\(positions)" : "\(sequences) x \(positionsOfEach)"
    }

    /// The share of a pass that recording its steps takes.
    public var recordingShare: Double? {
        recordedSeconds.map { Double(steps.count) * secondsPerStep / $0.median }
    }

    /// How much longer passes with recorded steps took than those that took turns with them, as a
    /// share; on a busy machine this is mostly noise.
    public var recordedDifference: Double? {
        recordedSeconds.map { $0.median / seconds.median - 1 }
    }
}

/// The result of running the passes.
public struct ProfileRun: Sendable {
    public var passes: [PassSamples] = []
    /// Filling the cache: context reached, and seconds since the context before.
    public var fills: [(context: Int, seconds: Double)] = []
    public var timeline: [TimelinePoint] = []
}

/// Runs passes of several sizes over a model and times them.
public final class PassProfiler {
    private let sequence: TokenSequence
    /// All sequences.
    private let sequences: [TokenSequence]
    private let options: ProfileOptions
    private let tokens: [Int32]
    private let recorder: PassRecorder
    private let sampler: Sampler

    /// - Parameter sequence: The first of ``ProfileOptions/sequences``; the others are made here.
    public init(_ sequence: TokenSequence, options: ProfileOptions) throws {
        try options.check(for: sequence)
        self.sequence = sequence
        let others = try (1..<options.sequences).map { _ in
            try TokenSequence(sequence.workspace, contextLength: sequence.contextLength)
        }
        sequences = [sequence] + others
        self.options = options
        recorder = PassRecorder(sequence.model)
        var sampling = SamplingOptions()
        sampling.temperature = sequence.config.sampling.temperature
        sampling.topK = sequence.config.sampling.topK
        sampling.topP = sequence.config.sampling.topP
        sampler = Sampler(
            sampling, vocabularySize: sequence.config.vocabularySize, forbidden: [],
            compute: sequence.compute)
        let count = max(options.positions.max() ?? 1, options.contexts.max() ?? 0)
        tokens = Self.tokens(count, vocabulary: sequence.config.vocabularySize)
    }

    /// Ids without meaning, the same every time.
    private static func tokens(_ count: Int, vocabulary: Int) -> [Int32] {
        var state: UInt64 = 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32((state >> 33) % UInt64(vocabulary))
        }
    }

    /// The very first pass over one token and its logits, which also touches the weights.
    public func firstPass() throws(DecodingError) -> Double {
        sequence.reset()
        defer { sequence.reset() }
        return try seconds { () throws(DecodingError) in
            try sequence.pass(committed: [tokens[0]], logitRows: [0])
        }
    }

    /// Passes of every size at every context. Sizes take turns, so that a machine whose speed
    /// drifts does not favour any of them.
    ///
    /// - Parameters:
    ///   - progress: Done so far and in total, in parts of the whole.
    ///   - isCancelled: Asked between passes; what was measured by then is returned.
    /// - Throws: `notFinite` where a logit is.
    public func run(
        progress: (Int, Int) -> Void = { _, _ in }, isCancelled: () -> Bool = { false }
    ) throws(DecodingError) -> ProfileRun {
        sequences.forEach { $0.reset() }
        var result = ProfileRun()
        let timeline = TimelineRecorder()
        timeline.look()
        let contexts = Set(options.contexts).sorted()
        for (index, context) in contexts.enumerated() where !isCancelled() {
            result.fills.append((context, try fill(to: context)))
            let sizes = try options.positions.map { positions throws(DecodingError) in
                SizeRun(positions, options, runs: try repetitions(of: positions), sequence)
            }
            let begin = nanoseconds()
            while !isCancelled() {
                let elapsed = Double(nanoseconds() - begin) * 1e-9
                let done = fractionDone(sizes, elapsed: elapsed, contexts: contexts.count)
                progress(index * 1000 + Int(done * 1000), contexts.count * 1000)
                if done >= 1 { break }
                for size in sizes where options.duration != nil || size.isWanting {
                    try measure(size)
                    timeline.look()
                }
            }
            result.passes += sizes.compactMap { $0.samples(context: context, sequence.compute) }
        }
        timeline.look(always: true)
        result.timeline = timeline.points
        sequences.forEach { $0.reset() }
        return result
    }

    private func fractionDone(_ sizes: [SizeRun], elapsed: Double, contexts: Int) -> Double {
        if let duration = options.duration { return min(1, elapsed * Double(contexts) / duration) }
        let wanted = sizes.reduce(0) { $0 + $1.runs }
        return Double(sizes.reduce(0) { $0 + $1.seconds.count }) / Double(max(1, wanted))
    }

    /// One timed pass, and one whose steps are recorded. They change their order each time, because the work before
    /// a pass decides what is in the caches.
    private func measure(_ size: SizeRun) throws(DecodingError) {
        let recordsFirst = options.recordsOperations && size.seconds.count % 2 == 1
        if recordsFirst { try record(size) }
        size.starts.append(nanoseconds())
        size.seconds.append(try pass(size.positions))
        if options.recordsOperations && !recordsFirst { try record(size) }
    }

    private func record(_ size: SizeRun) throws(DecodingError) {
        recorder.clear()
        sequence.model.noteStreamReads(true)
        sequence.workspace.observer = recorder
        size.recordedSeconds.append(try pass(size.positions))
        sequence.workspace.observer = nil
        sequence.model.noteStreamReads(false)
        let rows = options.logitRows(positions: options.sequences * size.positions)
        try sample(rows, at: size.positions)
        size.operations.append(recorder.steps)
        size.streamedBytes.append(Double(recorder.streamedBytes))
        (size.steps, size.reads) = (recorder.steps, recorder.reads)
    }

    /// Draws a token from each row of logits of the last pass, as the model's file asks for.
    private func sample(_ rows: Int, at position: Int) throws(DecodingError) {
        for row in 0..<rows {
            let begin = row * sequence.logitStride
            try recorder.record(.sample) { () throws(DecodingError) in
                let prediction = try sampler.prepare(sequence.logits, begin: begin, history: [])
                _ = sampler.draw(
                    sequence.logits, begin: begin, prediction: prediction, position: position + row)
            }
        }
    }

    private func fill(to context: Int) throws(DecodingError) -> Double {
        let missing = context - sequence.position
        return try seconds { () throws(DecodingError) in
            guard missing > 0 else { return }
            for sequence in sequences {
                try sequence.pass(
                    committed: Array(tokens[sequence.position..<context]), logitRows: [])
            }
        }
    }

    /// Warms up and decides how often to repeat.
    private func repetitions(of positions: Int) throws(DecodingError) -> Int {
        for _ in 0..<max(0, options.warmUp - 1) { _ = try pass(positions) }
        let last = options.warmUp > 0 ? try pass(positions) : 0
        if let repetitions = options.repetitions { return max(1, repetitions) }
        let affordable = ProfileOptions.secondsPerSize / max(last, 1e-6)
        return Int(
            min(max(affordable, Double(ProfileOptions.fewest)), Double(ProfileOptions.most)))
    }

    /// One pass over this many positions of each text; the caches are as before afterwards.
    private func pass(_ positions: Int) throws(DecodingError) -> Double {
        let context = sequence.position
        let committed = positions - options.openCount(positions)
        let segments = sequences.map {
            Segment(
                $0, committed: Array(tokens[..<committed]),
                open: Array(tokens[committed..<positions]), logitRows: options.rows(positions))
        }
        let elapsed = try seconds { () throws(DecodingError) in
            do throws(TransformerError) {
                try sequence.workspace.forward(segments)
            } catch {
                throw .pass(error)
            }
        }
        sequences.forEach { $0.truncate(to: context) }
        return elapsed
    }
}

/// Measurements of one size so far.
private final class SizeRun {
    /// Positions of each text.
    let positions: Int
    let sequences: Int
    let runs: Int
    var starts: [UInt64] = []
    var seconds: [Double] = []
    var recordedSeconds: [Double] = []
    var operations: OperationTimes
    var steps: [PassStep] = []
    var reads: [PassRead] = []
    var streamedBytes: [Double] = []

    init(_ positions: Int, _ options: ProfileOptions, runs: Int, _ sequence: TokenSequence) {
        self.positions = positions
        sequences = options.sequences
        self.runs = runs
        operations = OperationTimes(layerCount: sequence.config.layerCount)
    }

    var isWanting: Bool { seconds.count < runs }

    /// Nil where nothing was measured.
    func samples(context: Int, _ compute: Compute) -> PassSamples? {
        guard !seconds.isEmpty else { return nil }
        var samples = PassSamples(
            positions: sequences * positions, context: context, seconds: Distribution(seconds))
        samples.sequences = sequences
        samples.starts = starts
        if !recordedSeconds.isEmpty {
            samples.recordedSeconds = Distribution(recordedSeconds)
            samples.operations = operations
            samples.steps = steps
            samples.reads = reads
            samples.streamedBytes = Distribution(streamedBytes).median
            samples.secondsPerStep = PassRecorder.secondsPerStep(compute)
        }
        return samples
    }
}
