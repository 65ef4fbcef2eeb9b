public import TesseraKernels
internal import TesseraResidency
internal import TesseraTransformer

/// A machine to predict for.
public struct TargetMachine: Sendable, Equatable {
    public var limits: MachineLimits
    /// Bytes of memory that the program may hold; nil: enough.
    public var memoryBytes: Double?
    /// Bytes per second that a mapped file comes in with; nil: unknown.
    public var diskBytesPerSecond: Double?
    /// Threads that the limits are for; nil: as many as here.
    public var threads: Int?

    public init(
        limits: MachineLimits, memoryBytes: Double? = nil, diskBytesPerSecond: Double? = nil,
        threads: Int? = nil
    ) {
        self.threads = threads
        self.limits = limits
        self.memoryBytes = memoryBytes
        self.diskBytesPerSecond = diskBytesPerSecond
    }
}

/// The predicted times of a measured model on another machine.
public struct Prediction: Sendable {
    public let target: TargetMachine
    public let model: PassModel
    /// Bytes that all must be in memory for passes without reading the disk.
    public let neededBytes: Double
    /// Bytes of weights read from disk in each pass there; infinite where memory is too small to run at all.
    public let streamedBytes: Double
    public let rows: [Row]
    /// Threads that the passes were measured with.
    public let measuredThreads: Int

    /// One size of pass.
    public struct Row: Sendable, Equatable {
        public var positions: Int
        public var context: Int
        /// Measured here, without waiting for weights from disk.
        public var measuredSeconds: Double
        /// On the target, with the model in memory.
        public var seconds: Double
        /// Seconds of reading weights that do not fit from disk. 0 where all fit; infinite where the disk's rate is not
        /// known or memory is too small.
        public var diskSeconds: Double

        /// At best reading hides in the time of multiplying or the other way round; at worst one follows the
        /// other.
        public var range: ClosedRange<Double> {
            max(seconds, diskSeconds)...seconds + diskSeconds
        }
    }

    public init(_ report: ProfileReport, on target: TargetMachine) {
        self.target = target
        let parts = report.passes.map(Self.parts)
        let model = PassModel(
            zip(report.passes, parts).map { ($0.work, $1.limited) }, limits: report.limits)
        self.model = model
        let plan = report.model.plan
        neededBytes = Double(plan.map { $0.needs.total + $0.weightBytes } ?? 0)
        let streamed = Self.streamedBytes(plan, memory: target.memoryBytes)
        streamedBytes = streamed
        measuredThreads = report.setup.threads
        rows = zip(report.passes, parts).map { pass, parts in
            let positions = pass.samples.positions
            let capacity = max(1, report.setup.batchCapacity)
            let bytes = streamed * Double((positions + capacity - 1) / capacity)
            let rate = target.diskBytesPerSecond ?? 0
            return Row(
                positions: positions, context: pass.samples.context,
                measuredSeconds: parts.limited + parts.other,
                seconds: model.seconds(pass.work, target.limits) + parts.other,
                diskSeconds: bytes == 0 ? 0 : rate > 0 ? bytes / rate : .infinity)
        }
    }

    /// A measured pass, cut into the steps that reading and multiplying limit, and the other steps, which are
    /// assumed to last as long elsewhere. Waiting for the disk is in neither.
    private static func parts(_ pass: PassMeasure) -> (limited: Double, other: Double) {
        var (other, waiting) = (0.0, 0.0)
        for measure in pass.operations where measure.operation != .sample {
            if measure.operation == .input {
                waiting += measure.seconds.median
            } else if measure.work == nil {
                other += measure.seconds.median
            }
        }
        let whole = pass.samples.seconds.median
        return (max(whole - other - waiting, whole * 0.01), other)
    }

    /// Bytes that the plan for another memory leaves on disk.
    private static func streamedBytes(_ plan: ResidencyPlan?, memory: Double?) -> Double {
        guard let plan else { return 0 }
        let bytes = memory.map { Int($0) } ?? Int.max / 2
        let there = try? ResidencyPlan(
            items: plan.items, mappedBytes: plan.mappedBytes, needs: plan.needs,
            budget: MemoryBudget(bytes: bytes, source: .option))
        return there.map { Double($0.streamedBytes) } ?? .infinity
    }

    /// Tokens that a pass must give to be as fast as one position at a time; nil if that was not
    /// measured at the same context.
    public func breakEven(_ row: Row) -> Double? {
        rows.first { $0.positions == 1 && $0.context == row.context }
            .map { row.range.upperBound / $0.range.upperBound }
            .flatMap { $0.isFinite ? $0 : nil }
    }
}
