internal import Reporting
public import Transformer

/// Adds up what the steps of all passes take, for runs of any length; one reading of the clock for
/// each step.
public final class StepTotals: PassObserver {
    private var seconds = Array(repeating: 0.0, count: PassOperation.allCases.count)
    private var clock: StepClock

    /// - Parameter model: Is observed from now on.
    public init(_ model: Transformer) {
        clock = StepClock(model)
        model.observer = self
    }

    public func passBegins(tokens: Int) { clock.begin() }

    public func finished(_ operation: PassOperation, layer: Int) {
        add(clock.finish(operation, layer: layer).step)
    }

    func add(_ step: PassStep) {
        seconds[step.operation.rawValue] += Double(step.working) * 1e-9
        seconds[PassOperation.input.rawValue] += Double(step.waiting) * 1e-9
        seconds[PassOperation.decompress.rawValue] += Double(step.decoding) * 1e-9
    }

    private static let groups: [(name: String, operations: [PassOperation])] = [
        ("products", [.queryKeyValue, .attentionOutput, .gateUp, .down, .head]),
        ("attention", [.storeKeyValue, .attend]),
        ("norms and activation", [.attentionNorm, .mlpNorm, .activation, .finalNorm]),
        ("input", [.prepare, .embed]),
        ("waiting for disk", [.input]),
        ("decompress", [.decompress]),
    ]

    /// Seconds of each kind of step, those that occurred, and what is left of a whole.
    ///
    /// - Parameters:
    ///   - whole: Seconds that all together took.
    ///   - rest: What to call the time outside passes.
    public func parts(of whole: Double, rest: String) -> [(name: String, seconds: Double)] {
        let parts = Self.groups.map { group in
            (group.name, group.operations.reduce(0) { $0 + seconds[$1.rawValue] })
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
