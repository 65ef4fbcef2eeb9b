public import TesseraTransformer

/// Times of each step of passes of one size, per layer.
public struct OperationTimes: Sendable, Equatable {
    public let layerCount: Int
    /// Passes that were recorded.
    public private(set) var passCount = 0
    /// `[operation][layer][pass]`, seconds; steps outside the layers stand after the last layer.
    private var seconds: [[[Double]]]

    public init(layerCount: Int) {
        self.layerCount = layerCount
        seconds = Array(
            repeating: Array(repeating: [], count: layerCount + 1),
            count: PassOperation.allCases.count)
    }

    /// Adds a pass; batches of a long one are added up.
    public mutating func append(_ steps: [PassStep]) {
        passCount += 1
        for step in steps {
            let layer = step.operation.isPerLayer ? step.layer : layerCount
            add(step.working, to: step.operation, layer)
            if step.waiting > 0 { add(step.waiting, to: .input, layer) }
            if step.decoding > 0 { add(step.decoding, to: .decompress, layer) }
        }
        // A step that did not occur took no time.
        for operation in seconds.indices {
            for layer in seconds[operation].indices where !seconds[operation][layer].isEmpty {
                while seconds[operation][layer].count < passCount {
                    seconds[operation][layer].append(0)
                }
            }
        }
    }

    private mutating func add(_ nanoseconds: UInt64, to operation: PassOperation, _ layer: Int) {
        let operation = operation.rawValue
        while seconds[operation][layer].count < passCount { seconds[operation][layer].append(0) }
        seconds[operation][layer][passCount - 1] += Double(nanoseconds) * 1e-9
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

    /// All layers together: one sample per pass; nil if the step did not occur.
    public func total(_ operation: PassOperation) -> Distribution? {
        let layers = seconds[operation.rawValue].filter { !$0.isEmpty }
        guard !layers.isEmpty else { return nil }
        return Distribution((0..<passCount).map { pass in layers.reduce(0) { $0 + $1[pass] } })
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
        case .storeKeyValue: "rotate, store"
        case .attend: "attend"
        case .attentionOutput: "o"
        case .mlpNorm: "mlp norm"
        case .gateUp: "gate, up"
        case .activation: "swiglu"
        case .down: "down"
        case .finalNorm: "final norm"
        case .head: "output head"
        case .input: "waiting for disk"
        case .decompress: "decompress"
        case .sample: "sampling"
        }
    }

    /// Whether it happens in every layer.
    public var isPerLayer: Bool {
        switch self {
        case .prepare, .embed, .finalNorm, .head, .sample: false
        default: true
        }
    }

    /// Whether passes report it as a step; false for parts of steps and for work after a pass.
    public var isStep: Bool { rawValue <= PassOperation.head.rawValue }
}
