public import Transformer

/// One step of one pass.
public struct PassStep: Sendable, Equatable {
    public var operation: PassOperation
    public var layer: Int
    /// Nanoseconds of the monotonic clock.
    public var start: UInt64
    public var end: UInt64

    public init(operation: PassOperation, layer: Int, start: UInt64, end: UInt64) {
        self.operation = operation
        self.layer = layer
        self.start = start
        self.end = end
    }
}

/// Notes the steps of a pass; one reading of the clock each.
final class PassRecorder: PassObserver {
    private(set) var steps: [PassStep] = []
    private var last: UInt64 = 0

    func passBegins(tokens: Int) { last = nanoseconds() }

    func finished(_ operation: PassOperation, layer: Int) {
        let now = nanoseconds()
        steps.append(PassStep(operation: operation, layer: layer, start: last, end: now))
        last = now
    }

    /// Seconds that noting one step takes here.
    static func secondsPerStep() -> Double {
        let recorder = PassRecorder()
        let count = 10_000
        for _ in 0..<2 {
            recorder.clear()
            recorder.passBegins(tokens: 1)
            for _ in 0..<count { recorder.finished(.embed, layer: 0) }
        }
        let first = recorder.steps[0].start
        return Double(recorder.steps[count - 1].end - first) * 1e-9 / Double(count)
    }

    /// Forgets the steps and keeps their memory.
    func clear() { steps.removeAll(keepingCapacity: true) }
}

/// Times of each step of passes of one size, per layer.
public struct OperationTimes: Sendable, Equatable {
    public let layerCount: Int
    /// Passes that were recorded.
    public private(set) var passCount = 0
    /// `[operation][layer][pass]`, seconds.
    private var seconds: [[[Double]]]

    public init(layerCount: Int) {
        self.layerCount = layerCount
        seconds = Array(
            repeating: Array(repeating: [], count: max(1, layerCount)),
            count: PassOperation.allCases.count)
    }

    /// Adds a pass; batches of a long one are added up.
    public mutating func append(_ steps: [PassStep]) {
        passCount += 1
        for step in steps {
            let operation = step.operation.rawValue
            while seconds[operation][step.layer].count < passCount {
                seconds[operation][step.layer].append(0)
            }
            seconds[operation][step.layer][passCount - 1] += Double(step.end - step.start) * 1e-9
        }
    }

    /// Steps that occurred, in order.
    public var operations: [PassOperation] {
        PassOperation.allCases.filter { operation in
            seconds[operation.rawValue].contains { !$0.isEmpty }
        }
    }

    /// Median over the passes; 0 where the step did not occur.
    public func median(_ operation: PassOperation, layer: Int) -> Double {
        let samples = seconds[operation.rawValue][layer]
        return samples.isEmpty ? 0 : Distribution(samples).median
    }

    /// All layers together: one sample per pass; nil where the step did not occur.
    public func total(_ operation: PassOperation) -> Distribution? {
        let layers = seconds[operation.rawValue].filter { !$0.isEmpty }
        guard let first = layers.first else { return nil }
        return Distribution(
            first.indices.map { pass in
                layers.reduce(0) { $0 + (pass < $1.count ? $1[pass] : 0) }
            })
    }

    /// Seconds of a pass that steps account for: the sum of the totals' medians.
    public var accountedSeconds: Double {
        operations.reduce(0) { $0 + (total($1)?.median ?? 0) }
    }
}

extension PassOperation {
    /// E.g. `attention norm`.
    public var title: String {
        switch self {
        case .prepare: "prepare"
        case .embed: "embed"
        case .attentionNorm: "attention norm"
        case .queryKeyValue: "q, k, v"
        case .rotate: "rotate"
        case .storeKeyValue: "store k, v"
        case .attend: "attend"
        case .attentionOutput: "o"
        case .mlpNorm: "mlp norm"
        case .gateUp: "gate, up"
        case .activation: "swiglu"
        case .down: "down"
        case .finalNorm: "final norm"
        case .head: "output head"
        }
    }

    /// Whether it happens in every layer.
    public var isPerLayer: Bool {
        switch self {
        case .prepare, .embed, .finalNorm, .head: false
        default: true
        }
    }
}
