public import Kernels

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

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

/// How the time of a pass follows from a machine's limits, fitted to measured passes:
/// seconds^p = (readFactor x time of reading alone)^p + (multiplyFactor x time of multiplying
/// alone)^p. With p = 1 nothing overlaps, with a large p the slower of both alone counts; factors
/// above 1 are what kernels stay behind the limits, overhead that grows alike included.
public struct PassModel: Sendable, Equatable {
    public var readFactor: Double
    public var multiplyFactor: Double
    /// p, 1 or more.
    public var exponent: Double
    /// Largest relative error at the passes that it was fitted to.
    public var fitError = 0.0

    /// Exponents that are tried.
    private static let exponents = [1, 1.5, 2, 4]

    public init(readFactor: Double, multiplyFactor: Double, exponent: Double = 1) {
        self.readFactor = readFactor
        self.multiplyFactor = multiplyFactor
        self.exponent = exponent
    }

    /// The exponent and factors that fit best.
    ///
    /// - Parameter points: Work and seconds of each measured pass, at least one.
    public init(_ points: [(work: PassWork, seconds: Double)], limits: MachineLimits) {
        precondition(!points.isEmpty, "nothing to fit")
        let fits = Self.exponents.map { exponent in
            var fit = Self.fit(points, limits, exponent)
            fit.fitError =
                points.map { abs(fit.seconds($0.work, limits) / $0.seconds - 1) }.max() ?? 0
            return fit
        }
        // Fewer than three points fit every exponent: then the first, without overlap.
        let best = fits.dropFirst().reduce(fits[0]) {
            $1.fitError < $0.fitError - 1e-6 ? $1 : $0
        }
        self = points.count < 3 ? fits[0] : best
    }

    /// Least squares of the relative errors of seconds^p, which are linear in the factors' powers.
    private static func fit(
        _ points: [(work: PassWork, seconds: Double)], _ limits: MachineLimits, _ exponent: Double
    ) -> PassModel {
        let roofline = Roofline(limits)
        let reads = points.map { power(roofline.readSeconds($0.work) / $0.seconds, exponent) }
        let products = points.map {
            power(roofline.multiplySeconds($0.work) / $0.seconds, exponent)
        }
        func dot(_ a: [Double], _ b: [Double]) -> Double {
            zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
        }
        let ones = points.map { _ in 1.0 }
        let (rr, rp, pp) = (dot(reads, reads), dot(reads, products), dot(products, products))
        let (r, p) = (dot(reads, ones), dot(products, ones))
        let determinant = rr * pp - rp * rp
        var read = (r * pp - p * rp) / determinant
        var multiply = (p * rr - r * rp) / determinant
        if !(determinant > 1e-9 * rr * pp) {
            // One size only: both kinds of time are stretched alike.
            let sums = zip(reads, products).map { $0 + $1 }
            read = dot(sums, ones) / dot(sums, sums)
            multiply = read
        } else if read < 0 {
            (read, multiply) = (0, p / pp)
        } else if multiply < 0 {
            (read, multiply) = (r / rr, 0)
        }
        return PassModel(
            readFactor: power(read, 1 / exponent), multiplyFactor: power(multiply, 1 / exponent),
            exponent: exponent)
    }

    private static func power(_ base: Double, _ exponent: Double) -> Double {
        exponent == 1 ? base : pow(max(0, base), exponent)
    }

    /// Seconds of a pass on a machine of these limits whose memory holds the model.
    public func seconds(_ work: PassWork, _ limits: MachineLimits) -> Double {
        let roofline = Roofline(limits)
        let read = Self.power(readFactor * roofline.readSeconds(work), exponent)
        let multiply = Self.power(multiplyFactor * roofline.multiplySeconds(work), exponent)
        return Self.power(read + multiply, 1 / exponent)
    }
}

/// What a measured model would do on another machine.
public struct Prediction: Sendable {
    public let target: TargetMachine
    public let model: PassModel
    /// Bytes that all must be in memory for passes without reading the disk.
    public let neededBytes: Double
    public let rows: [Row]
    /// Threads that the passes were measured with.
    public let measuredThreads: Int

    /// One size of pass.
    public struct Row: Sendable, Equatable {
        public var positions: Int
        public var context: Int
        /// Measured here.
        public var measuredSeconds: Double
        /// On the target, with the model in memory.
        public var seconds: Double
        /// More for the disk: at best, what does not fit; at worst all of the weights, since a cache
        /// that drops what was used longest ago keeps nothing of a file read from end to end. Nil
        /// where all fits; infinite where the disk's rate is not known.
        public var diskSeconds: ClosedRange<Double>?

        /// Shortest and longest time expected.
        public var range: ClosedRange<Double> {
            guard let diskSeconds else { return seconds...seconds }
            return seconds + diskSeconds.lowerBound...seconds + diskSeconds.upperBound
        }
    }

    public init(_ report: ProfileReport, on target: TargetMachine) {
        self.target = target
        let model = PassModel(
            report.passes.map { ($0.work, $0.samples.seconds.median) }, limits: report.limits)
        self.model = model
        let memory = report.setup.memory
        let weights = Double(report.model.work.layerBytes + report.model.work.headBytes)
        let needed =
            Double(report.model.fileBytes + memory.anonymous + max(0, memory.file - memory.model))
        neededBytes = needed
        measuredThreads = report.setup.threads
        rows = report.passes.map { pass in
            Row(
                positions: pass.samples.positions, context: pass.samples.context,
                measuredSeconds: pass.samples.seconds.median,
                seconds: model.seconds(pass.work, target.limits),
                diskSeconds: Self.diskSeconds(
                    target, needed: needed, weights: weights,
                    batches: max(1, pass.samples.positions / max(1, report.setup.batchCapacity))))
        }
    }

    private static func diskSeconds(
        _ target: TargetMachine, needed: Double, weights: Double, batches: Int
    ) -> ClosedRange<Double>? {
        guard let memory = target.memoryBytes, memory < needed else { return nil }
        guard let rate = target.diskBytesPerSecond, rate > 0 else { return .infinity ... .infinity }
        let missing = min(needed - memory, weights)
        return Double(batches) * missing / rate...Double(batches) * weights / rate
    }

    /// Tokens that a pass must give to be as fast as one position at a time; nil where that was not
    /// measured at the same context.
    public func breakEven(_ row: Row) -> Double? {
        rows.first { $0.positions == 1 && $0.context == row.context }
            .map { row.range.upperBound / $0.range.upperBound }
            .flatMap { $0.isFinite ? $0 : nil }
    }
}
