internal import Kernels
internal import Residency
public import Transformer

/// One step of one pass.
public struct PassStep: Sendable, Equatable {
    public var operation: PassOperation
    public var layer: Int
    /// Nanoseconds of the monotonic clock.
    public var start: UInt64
    public var end: UInt64
    /// Nanoseconds of it that waited for weights from disk.
    public var waiting: UInt64 = 0
    /// Nanoseconds of it that decoded coded tiles: those of all threads, divided by their number.
    public var decoding: UInt64 = 0

    public init(operation: PassOperation, layer: Int, start: UInt64, end: UInt64) {
        self.operation = operation
        self.layer = layer
        self.start = start
        self.end = end
    }

    /// Nanoseconds of the step proper.
    public var working: UInt64 { end - start - waiting - decoding }
}

/// One read of streamed weights; times are nanoseconds of the monotonic clock.
public struct PassRead: Sendable, Equatable {
    /// Of the reading threads, from 0.
    public var thread: Int
    public var bytes: Int
    public var start: UInt64
    public var end: UInt64

    public init(thread: Int, bytes: Int, start: UInt64, end: UInt64) {
        (self.thread, self.bytes, self.start, self.end) = (thread, bytes, start, end)
    }

    /// - Parameter now: One moment on both clocks.
    init(_ read: StreamRead, now: (ContinuousClock.Instant, UInt64)) {
        func place(_ instant: ContinuousClock.Instant) -> UInt64 {
            let (seconds, attoseconds) = (now.0 - instant).components
            return now.1 - UInt64(max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000))
        }
        self.init(
            thread: read.thread, bytes: read.bytes, start: place(read.start), end: place(read.end))
    }
}

/// Cuts passes into steps; one reading of the clock each.
struct StepClock {
    private var last: UInt64 = 0
    /// Whose counters tell of waiting and decoding; nil where neither occurs.
    private unowned let model: Transformer?
    /// Whether steps are more than moments.
    var counts: Bool { model != nil }

    init(_ model: Transformer? = nil) {
        let mayWait = model.map { $0.inputMethod != nil || $0.compute.decodesTiles } ?? false
        self.model = mayWait ? model : nil
    }

    /// The next step begins now.
    mutating func begin() { last = nanoseconds() }

    /// A step ends now.
    mutating func finish(
        _ operation: PassOperation, layer: Int
    ) -> (step: PassStep, counters: StreamCounters?) {
        let now = nanoseconds()
        var step = PassStep(operation: operation, layer: layer, start: last, end: now)
        last = now
        guard let model else { return (step, nil) }
        let decoding = model.compute.takeDecodingSeconds() / Double(model.compute.threads)
        let counters = model.takeStreamCounters()
        let whole = step.end - step.start
        step.waiting = min(whole, UInt64(counters.waitSeconds * 1e9))
        step.decoding = min(whole - step.waiting, UInt64(decoding * 1e9))
        return (step, counters)
    }

    /// Forgets what the counters hold.
    func clear() {
        _ = model?.takeStreamCounters()
        _ = model?.compute.takeDecodingSeconds()
    }
}

/// Notes the steps of a pass: where nothing but their time counts, the processor's ticks alone, which
/// become times when the steps are asked for.
final class PassRecorder: PassObserver {
    /// The end of a step, or where there is none, the beginning of the next.
    private struct Mark {
        var ticks: UInt64
        var operation: PassOperation?
        var layer: Int
    }

    private var marks: [Mark] = []
    /// One moment on both clocks, before the first mark.
    private var origin = (nanoseconds: UInt64(0), ticks: UInt64(0))
    private var counted: [PassStep] = []
    /// Reads of streamed weights that ended in the pass.
    private(set) var reads: [PassRead] = []
    /// Bytes of them.
    private(set) var streamedBytes = 0
    private var clock: StepClock

    init(_ model: Transformer? = nil) { clock = StepClock(model) }

    func passBegins(tokens: Int) { begin() }

    private func begin() {
        if clock.counts { return clock.begin() }
        marks.append(Mark(ticks: Ticks.now(), operation: nil, layer: 0))
    }

    func finished(_ operation: PassOperation, layer: Int) {
        guard clock.counts else {
            return marks.append(Mark(ticks: Ticks.now(), operation: operation, layer: layer))
        }
        let (step, counters) = clock.finish(operation, layer: layer)
        counted.append(step)
        guard let counters else { return }
        streamedBytes += counters.bytes
        let now = (ContinuousClock.now, nanoseconds())
        reads += counters.reads.map { PassRead($0, now: now) }
    }

    /// Drawing a token, which the transformer does not tell of.
    func record(_ operation: PassOperation, _ body: () -> Void) {
        begin()
        body()
        finished(operation, layer: 0)
    }

    /// What was noted since the last `clear()`.
    var steps: [PassStep] {
        if clock.counts { return counted }
        let now = (nanoseconds: nanoseconds(), ticks: Ticks.now())
        let passed = Double(max(1, Int64(bitPattern: now.ticks &- origin.ticks)))
        let perTick = Double(now.nanoseconds - origin.nanoseconds) / passed
        // Counters of different processors may differ a little: no step ends before it begins.
        func place(_ ticks: UInt64, after last: UInt64) -> UInt64 {
            let passed = Double(max(0, Int64(bitPattern: ticks &- origin.ticks)))
            return max(last, origin.nanoseconds + UInt64(passed * perTick))
        }
        var last = origin.nanoseconds
        var steps: [PassStep] = []
        steps.reserveCapacity(marks.count)
        for mark in marks {
            let end = place(mark.ticks, after: last)
            if let operation = mark.operation {
                steps.append(
                    PassStep(operation: operation, layer: mark.layer, start: last, end: end))
            }
            last = end
        }
        return steps
    }

    /// Seconds that noting one step takes here: the median of some runs, which a program that comes
    /// in between does not move.
    static func secondsPerStep() -> Double {
        let recorder = PassRecorder()
        let count = 1000
        let runs = (0..<11).map { _ in
            recorder.clear()
            recorder.passBegins(tokens: 1)
            for _ in 0..<count { recorder.finished(.embed, layer: 0) }
            let steps = recorder.steps
            let elapsed = steps[count - 1].end - steps[0].start
            return Double(elapsed) * 1e-9 / Double(count)
        }
        return Distribution(runs).median
    }

    /// Forgets the steps and keeps their memory.
    func clear() {
        marks.removeAll(keepingCapacity: true)
        counted.removeAll(keepingCapacity: true)
        origin = (nanoseconds(), Ticks.now())
        reads.removeAll(keepingCapacity: true)
        streamedBytes = 0
        clock.clear()
    }
}
