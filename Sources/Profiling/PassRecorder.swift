internal import TesseraCKernels
internal import TesseraKernels
internal import TesseraResidency
internal import TesseraTransformer

/// Notes the steps of passes: the processor's ticks at the end of each, which become times when the
/// steps are asked for.
final class PassRecorder: PassObserver {
    /// The end of a step; without steps, the beginning of the next one.
    private struct Mark: BitwiseCopyable {
        var ticks = tsr_ticks()
        var operation: PassOperation?
        var layer: Int
        /// Nanoseconds of the step.
        var waiting = 0.0
        var decoding = 0.0
    }

    /// The first `count` are in use. No array: its checks at each step cost as much as the ticks.
    private var marks = Buffer<Mark>(count: 1024)
    private var count = 0
    /// Before the first mark.
    private var origin = Moment.now()
    /// Reads of streamed weights that ended in the pass.
    private(set) var reads: [PassRead] = []
    /// Bytes of these reads.
    private(set) var streamedBytes = 0
    private let counters: StepCounters

    init(_ model: Model? = nil) { counters = StepCounters(model) }

    func passBegins(tokens: Int) { append(Mark(operation: nil, layer: 0)) }

    func finished(_ operation: PassOperation, layer: Int) {
        append(Mark(operation: operation, layer: layer))
        if counters.areNeeded { takeCounters() }
    }

    @inline(__always)
    private func append(_ mark: Mark) {
        if count == marks.count { grow() }
        marks[count] = mark
        count += 1
    }

    @inline(never)
    private func grow() {
        let more = Buffer<Mark>(count: 2 * count)
        for index in 0..<count { more[index] = marks[index] }
        marks = more
    }

    /// The counters of the last step.
    @inline(never)
    private func takeCounters() {
        let (stream, decoding) = counters.take()
        marks[count - 1].waiting = stream.waitSeconds * 1e9
        marks[count - 1].decoding = decoding
        streamedBytes += stream.bytes
        let now = (ContinuousClock.now, nanoseconds())
        reads += stream.reads.map { PassRead($0, now: now) }
    }

    /// Records the drawing of a token, which the transformer does not report.
    func record<E>(_ operation: PassOperation, _ body: () throws(E) -> Void) throws(E) {
        passBegins(tokens: 0)
        try body()
        finished(operation, layer: 0)
    }

    /// Steps that were noted since the last `clear()`.
    var steps: [PassStep] {
        let perTick = origin.nanosecondsPerTick(until: .now())
        var last = origin.nanoseconds
        var steps: [PassStep] = []
        steps.reserveCapacity(count)
        for index in 0..<count {
            let mark = marks[index]
            let passed = Double(max(0, Int64(bitPattern: mark.ticks &- origin.ticks)))
            // Counters of different processors may differ a little: no step ends before it begins.
            let end = max(last, origin.nanoseconds + UInt64(passed * perTick))
            if let operation = mark.operation {
                var step = PassStep(operation: operation, layer: mark.layer, start: last, end: end)
                step.split(waiting: mark.waiting, decoding: mark.decoding)
                steps.append(step)
            }
            last = end
        }
        return steps
    }

    /// Seconds that recording a step takes here: the median difference between short steps with recording and short
    /// steps without, which take turns.
    static func secondsPerStep(_ compute: Compute) -> Double {
        let recorder = PassRecorder()
        let values = Buffer<Float>(count: 192)
        let result = Activations(tokenCapacity: 1, columns: values.count)
        let count = 100
        func run(_ observer: (any PassObserver)?) -> Double {
            recorder.clear()
            return seconds {
                for _ in 0..<count {
                    compute.rmsNorm(values, tokens: 1, weight: values, eps: 1, into: result)
                    observer?.finished(.mlpNorm, layer: 0)
                }
            } / Double(count)
        }
        return max(0, Distribution((0..<101).map { _ in run(recorder) - run(nil) }).median)
    }

    /// Forgets the steps and keeps their memory.
    func clear() {
        count = 0
        reads.removeAll(keepingCapacity: true)
        streamedBytes = 0
        _ = counters.take()
        origin = .now()
    }
}
