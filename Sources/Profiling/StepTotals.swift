internal import TesseraCKernels
internal import TesseraKernels
internal import TesseraReporting
internal import TesseraResidency
public import TesseraTransformer

/// Adds up what the steps of all passes take, for runs of any length.
public final class StepTotals: PassObserver {
    private let start = Moment.now()
    private var last: UInt64 = 0
    /// Ticks of all steps of each kind, waiting and decoding included.
    private let ticks = Buffer<UInt64>(count: PassOperation.allCases.count)
    /// Nanoseconds that belong to waiting and decoding instead.
    private let moved = Buffer<Double>(count: PassOperation.allCases.count)
    private let counters: StepCounters

    /// - Parameter workspace: The workspace to observe from now on.
    public init(_ workspace: Workspace) {
        counters = StepCounters(workspace.model)
        workspace.observer = self
    }

    public func passBegins(tokens: Int) { last = tsr_ticks() }

    public func finished(_ operation: PassOperation, layer: Int) {
        // Counters of different processors may differ a little.
        let now = max(last, tsr_ticks())
        let passed = now - last
        ticks[operation.rawValue] += passed
        last = now
        if counters.areNeeded { takeCounters(operation, ticks: passed) }
    }

    @inline(never)
    private func takeCounters(_ operation: PassOperation, ticks: UInt64) {
        let (stream, decoding) = counters.take()
        let whole = Double(ticks) * start.nanosecondsPerTick(until: .now())
        var step = PassStep(operation: operation, layer: 0, start: 0, end: UInt64(whole))
        step.split(waiting: stream.waitSeconds * 1e9, decoding: decoding)
        moved[operation.rawValue] -= Double(step.waiting + step.decoding)
        moved[PassOperation.input.rawValue] += Double(step.waiting)
        moved[PassOperation.decompress.rawValue] += Double(step.decoding)
    }

    /// Seconds of all steps of one kind.
    private func seconds(_ operation: PassOperation) -> Double {
        let perTick = start.nanosecondsPerTick(until: .now())
        return (Double(ticks[operation.rawValue]) * perTick + moved[operation.rawValue]) * 1e-9
    }

    private static let groups: [(name: String, operations: [PassOperation])] = [
        ("products", [.queryKeyValue, .attentionOutput, .gateUp, .down, .head]),
        ("attention", [.storeKeyValue, .attend]),
        ("norms and activation", [.attentionNorm, .mlpNorm, .activation, .finalNorm]),
        ("input", [.prepare, .embed]),
        ("waiting for disk", [.input]),
        ("decompress", [.decompress]),
    ]

    /// Seconds of each kind of step that occurred, and the rest of a whole time.
    ///
    /// - Parameters:
    ///   - whole: Seconds that all together took.
    ///   - rest: What to call the time outside passes.
    public func parts(of whole: Double, rest: String) -> [(name: String, seconds: Double)] {
        let parts = Self.groups.map { group in
            (group.name, group.operations.reduce(0) { $0 + seconds($1) })
        }.filter { $0.1 > 0 }
        return parts + [(rest, max(0, whole - parts.reduce(0) { $0 + $1.1 }))]
    }

    /// The same in a line for people, e.g. `products 1.2 s (85%), attention 120 ms (9%)`.
    public func text(of whole: Double, rest: String) -> String {
        parts(of: whole, rest: rest).map { name, seconds in
            let share = whole > 0 ? Format.fixed(seconds / whole * 100, 1) : "0"
            return "\(name) \(Format.seconds(seconds)) (\(share)%)"
        }.joined(separator: ", ")
    }
}
