internal import TesseraCKernels
internal import TesseraKernels
internal import TesseraResidency
internal import TesseraTransformer

/// One moment on two clocks: the monotonic one, and the processor's ticks, which cost less to read.
struct Moment {
    let nanoseconds: UInt64
    let ticks: UInt64

    static func now() -> Moment {
        Moment(nanoseconds: TesseraProfiling.nanoseconds(), ticks: tsr_ticks())
    }

    /// Nanoseconds that a tick takes, by what went by until `end`.
    func nanosecondsPerTick(until end: Moment) -> Double {
        let passed = Int64(bitPattern: end.ticks &- ticks)
        return Double(end.nanoseconds - nanoseconds) / Double(max(1, passed))
    }
}

/// A model's counters for one step: waiting for weights and decoding of weights.
struct StepCounters {
    private unowned let model: Model?
    /// Whether counters can change within a step.
    let areNeeded: Bool

    init(_ model: Model?) {
        self.model = model
        areNeeded = model.map { $0.inputMethod != nil || $0.compute.decodesTiles } ?? false
    }

    /// Since the last call: reads of streamed weights and waiting for them, and nanoseconds of decoding,
    /// those of all threads divided by their number.
    func take() -> (stream: StreamCounters, decoding: Double) {
        guard areNeeded, let model else { return (StreamCounters(), 0) }
        let seconds = model.compute.takeDecodingSeconds() / Double(model.compute.threads)
        return (model.takeStreamCounters(), seconds * 1e9)
    }
}
