internal import TesseraReporting
internal import TesseraMachine

internal import Glibc

/// Counters of the machine and of this process at one moment.
public struct SystemLoad: Sendable, Equatable {
    /// Processor time of the whole machine so far, in clock ticks.
    public var totalTicks = 0
    /// Ticks in which nothing ran.
    public var idleTicks = 0
    /// Ticks that the host gave to other guests.
    public var stolenTicks = 0
    /// Programs that run or want to, averaged over a minute.
    public var loadAverage = 0.0
    /// Processor time of this process, in ticks.
    public var ownTicks = 0
    public var minorFaults = 0
    public var majorFaults = 0
    /// Bytes that came from disk for this process, read ahead ones included.
    public var diskBytes = 0
    /// Times this process gave way by itself, and was made to.
    public var voluntarySwitches = 0
    public var involuntarySwitches = 0
    /// Mean frequency of the processors, where the kernel tells.
    public var hertz: Double?
    /// Warmest sensor, where the kernel tells.
    public var celsius: Double?
    /// Energy used by the processors so far, where the kernel lets us read it; else empty.
    public var energy: [EnergyCounter] = []
    /// Power that a hardware monitor shows now.
    public var watts: Double?
    /// Times that processors were slowed down for their heat, where the kernel counts.
    public var throttleCount: Int?

    public init() {}

    /// - Parameter root: Put in front of every path, for tests.
    public static func now(root: String = "") -> SystemLoad {
        var load = SystemLoad()
        let stat = SystemFile.text(root + "/proc/stat") ?? ""
        let ticks =
            stat.split(separator: "\n").first?.split(separator: " ").dropFirst()
            .compactMap { Int($0) } ?? []
        if ticks.count >= 8 {
            load.totalTicks = ticks[..<8].reduce(0, +)
            load.idleTicks = ticks[3] + ticks[4]
            load.stolenTicks = ticks[7]
        }
        load.loadAverage = SystemFile.word(root + "/proc/loadavg").flatMap { Double($0) } ?? 0
        let info = SystemFile.text(root + "/proc/cpuinfo") ?? ""
        let sensors = Sensors(root: root)
        load.hertz = sensors.hertz(info: info)
        load.celsius = sensors.celsius
        load.energy = sensors.energy
        load.watts = sensors.watts
        load.throttleCount = sensors.throttleCount
        let transfers = SystemFile.text(root + "/proc/self/io") ?? ""
        load.diskBytes = SystemFile.field("read_bytes", in: transfers) ?? 0
        load.readUsage()
        return load
    }

    /// Energy used since an earlier moment; nil if it is unknown.
    func joules(since start: SystemLoad) -> Double? {
        guard !energy.isEmpty, energy.map(\.name) == start.energy.map(\.name) else { return nil }
        let parts = zip(energy, start.energy).compactMap { $0.since($1) }
        return parts.count == energy.count ? parts.reduce(0, +) : nil
    }

    private mutating func readUsage() {
        var usage = rusage()
        unsafe getrusage(RUSAGE_SELF.rawValue, &usage)
        minorFaults = Int(usage.ru_minflt)
        majorFaults = Int(usage.ru_majflt)
        voluntarySwitches = Int(usage.ru_nvcsw)
        involuntarySwitches = Int(usage.ru_nivcsw)
        let time = [usage.ru_utime, usage.ru_stime].reduce(0.0) {
            $0 + Double($1.tv_sec) + Double($1.tv_usec) * 1e-6
        }
        ownTicks = Int(time * Double(sysconf(Int32(_SC_CLK_TCK))))
    }
}

/// Differences between two moments.
public struct LoadChange: Sendable, Equatable {
    public var minorFaults: Int
    public var majorFaults: Int
    /// Bytes that came from disk, read ahead ones included.
    public var diskBytes: Int
    public var voluntarySwitches: Int
    public var involuntarySwitches: Int
    /// Share of the machine's time that the host gave to other guests, 0...1.
    public var stolenShare: Double
    /// Share of the machine's time that other programs used, 0...1.
    public var foreignShare: Double
    /// Energy used by the processors; nil if unknown.
    public var joules: Double?
    /// Times that processors were slowed down for their heat; nil if nobody counts.
    public var throttleCount: Int?

    public init(from start: SystemLoad, to end: SystemLoad) {
        minorFaults = end.minorFaults - start.minorFaults
        majorFaults = end.majorFaults - start.majorFaults
        diskBytes = end.diskBytes - start.diskBytes
        voluntarySwitches = end.voluntarySwitches - start.voluntarySwitches
        involuntarySwitches = end.involuntarySwitches - start.involuntarySwitches
        joules = end.joules(since: start)
        throttleCount = end.throttleCount.map { $0 - (start.throttleCount ?? $0) }
        let total = Double(end.totalTicks - start.totalTicks)
        let stolen = Double(end.stolenTicks - start.stolenTicks)
        let busy = total - Double(end.idleTicks - start.idleTicks) - stolen
        let own = Double(end.ownTicks - start.ownTicks)
        stolenShare = total > 0 ? min(1, max(0, stolen / total)) : 0
        foreignShare = total > 0 ? min(1, max(0, (busy - own) / total)) : 0
    }

    /// Reasons to distrust the times; empty on a quiet machine.
    public var warnings: [String] {
        var lines: [String] = []
        func percent(_ share: Double) -> String { "\(Int((share * 100).rounded()))%" }
        if stolenShare > 0.02 {
            lines.append("the host took \(percent(stolenShare)) of the processor time away")
        }
        if foreignShare > 0.05 {
            lines.append("other programs used \(percent(foreignShare)) of the processor time")
        }
        if let throttleCount, throttleCount > 0 {
            lines.append("processors were slowed down for their heat, \(throttleCount) times")
        }
        if diskBytes > 0 || majorFaults > 0 {
            lines.append("\(Format.bytes(diskBytes)) came from disk while measuring")
        }
        return lines
    }
}
