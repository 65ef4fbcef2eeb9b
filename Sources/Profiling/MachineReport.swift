public import TesseraKernels

/// A machine as the kernels see it: facts and measurements.
public struct MachineReport: Sendable {
    public var facts = MachineFacts()
    /// The instruction set that kernels use by default.
    public var isa = ""
    /// Threads that are started by default.
    public var threads = 1
    public var reading: [ThreadRate] = []
    public var multiplying: [MultiplyRate] = []
    public var pageFaults: PageFaultCost?
    public var disk: DiskRate?
    /// The load of the machine while it was measured.
    public var load: LoadChange?
    public var loadAverage = 0.0

    public init() {}

    /// Rates of some threads: sequential reading of memory, and 8-bit multiplications with the default
    /// instruction set.
    public struct ThreadRate: Sendable, Equatable {
        public var threads: Int
        public var bytesPerSecond: Double
        public var macsPerSecond: Double
        public init(threads: Int, bytesPerSecond: Double, macsPerSecond: Double = 0) {
            self.threads = threads
            self.bytesPerSecond = bytesPerSecond
            self.macsPerSecond = macsPerSecond
        }
    }

    /// 8-bit multiplications of one instruction set by all usable threads.
    public struct MultiplyRate: Sendable, Equatable {
        public var isa: String
        public var macsPerSecond: Double
        public init(isa: String, macsPerSecond: Double) {
            self.isa = isa
            self.macsPerSecond = macsPerSecond
        }
    }

    /// The limits of the default instruction set on all usable threads.
    public var limits: MachineLimits {
        MachineLimits(
            readBytesPerSecond: reading.map(\.bytesPerSecond).max() ?? 0,
            int8MacsPerSecond: multiplying.first { $0.isa == isa }?.macsPerSecond ?? 0)
    }

    /// The same on some threads; nil if that was not measured.
    func limits(ofThreads threads: Int) -> MachineLimits? {
        reading.first { $0.threads == threads }.map {
            MachineLimits(
                readBytesPerSecond: $0.bytesPerSecond, int8MacsPerSecond: $0.macsPerSecond)
        }
    }

    /// Looks at this machine and measures it; takes a second or two.
    ///
    /// - Parameters:
    ///   - diskFile: A file whose disk is to be measured.
    ///   - patience: Seconds after which enough of it has been read.
    public static func measure(
        diskFile: String?, patience: Double = 2
    ) throws -> MachineReport {
        var report = MachineReport()
        let before = SystemLoad.now()
        report.facts = MachineFacts.read()
        let standard = try Compute()
        report.isa = standard.isa
        report.threads = standard.threads
        report.loadAverage = before.loadAverage
        report.pageFaults = MemoryProbe.pageFaults(file: "/proc/self/exe")
        for threads in threadCounts(upTo: standard.threads) {
            let limits = try Compute(threads: threads).measureLimits(
                readBytes: report.facts.readBytes)
            report.reading.append(
                ThreadRate(
                    threads: threads, bytesPerSecond: limits.readBytesPerSecond,
                    macsPerSecond: limits.int8MacsPerSecond))
        }
        for isa in Compute.availableISAs {
            let compute = try Compute(isa: isa)
            let limits = compute.measureLimits(readBytes: 1 << 20)
            report.multiplying.append(
                MultiplyRate(isa: isa, macsPerSecond: limits.int8MacsPerSecond))
        }
        if let diskFile { report.disk = try DiskProbe.read(diskFile, patience: patience) }
        report.load = LoadChange(from: before, to: SystemLoad.now())
        return report
    }

    /// 1, 2, 4, ... and the last.
    static func threadCounts(upTo last: Int) -> [Int] {
        var counts = Array(sequence(first: 1) { $0 * 2 < last ? $0 * 2 : nil })
        if last > 1 { counts.append(last) }
        return counts
    }
}
