internal import TesseraMachine

/// Facts about a machine that the kernel tells; nothing here is measured.
public struct MachineFacts: Sendable, Equatable {
    public var processor = ""
    public var kernel = ""
    /// Processors that are online.
    public var processors = 0
    /// Instruction sets named by the kernel that the kernels could use.
    public var features: [String] = []
    public var isVirtual = false
    public var caches: [Cache] = []
    public var memoryBytes = 0
    public var availableBytes = 0
    public var swapBytes = 0
    /// Memory and processors that this process's control group may use; nil: no limit.
    public var group = GroupLimits()
    /// `always`, `madvise` or `never`; empty where unknown.
    public var hugePages = ""
    /// Scaling governor of the first processor; empty if there is none.
    public var governor = ""

    public init() {}

    /// A cache of the first processor.
    public struct Cache: Sendable, Equatable {
        public var level: Int
        /// `Data`, `Instruction` or `Unified`.
        public var type: String
        public var bytes: Int
        /// Processors that share it, e.g. `0-7`.
        public var sharedBy: String
    }

    /// Memory that can be used before something is dropped or killed: the machine's or the group's.
    public var usableBytes: Int { min(memoryBytes, group.memoryLimit ?? .max) }

    /// What the largest cache of the first processor holds; 0 where that is not known.
    public var cacheBytes: Int { caches.map(\.bytes).max() ?? 0 }

    /// Memory to read when the rate of reading is measured: twice the largest cache, but so little that no control
    /// group ends the process.
    public var readBytes: Int {
        let wanted = min(1 << 30, max(128 << 20, 2 * cacheBytes))
        let free = availableBytes > 0 ? availableBytes : usableBytes
        return min(wanted, max(16 << 20, min(usableBytes, free) / 8))
    }

    private static let known: Set<String> = [
        "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512vl", "avx512_vnni",
        "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm", "sve",
    ]

    /// Reads /proc and /sys.
    ///
    /// - Parameter root: Put in front of every path, for tests.
    public static func read(root: String = "") -> MachineFacts {
        var facts = MachineFacts()
        let info = SystemFile.text(root + "/proc/cpuinfo") ?? ""
        facts.processor = Processor.name(in: info)
        facts.processors = SystemFile.values("processor", in: info).count
        let flags = SystemFile.values("flags", in: info) + SystemFile.values("Features", in: info)
        let words = Set((flags.first ?? "").split(separator: " ").map(String.init))
        facts.features = words.intersection(known).sorted()
        facts.isVirtual = words.contains("hypervisor")
        facts.kernel = SystemFile.word(root + "/proc/sys/kernel/osrelease") ?? ""
        let memory = SystemFile.text(root + "/proc/meminfo") ?? ""
        facts.memoryBytes = SystemFile.field("MemTotal", in: memory) ?? 0
        facts.availableBytes = SystemFile.field("MemAvailable", in: memory) ?? 0
        facts.swapBytes = SystemFile.field("SwapTotal", in: memory) ?? 0
        facts.group = GroupLimits(ControlGroups(root: root))
        let huge = SystemFile.text(root + "/sys/kernel/mm/transparent_hugepage/enabled") ?? ""
        facts.hugePages =
            huge.split(separator: "[").dropFirst().first?.split(separator: "]").first
            .map(String.init) ?? ""
        let cpu = root + "/sys/devices/system/cpu/cpu0"
        facts.governor = SystemFile.word(cpu + "/cpufreq/scaling_governor") ?? ""
        facts.caches = (0..<8).compactMap { cache(cpu + "/cache/index\($0)") }
        return facts
    }

    private static func cache(_ path: String) -> Cache? {
        guard let level = SystemFile.integer(path + "/level"),
            let size = SystemFile.word(path + "/size"), let number = Int(size.dropLast()),
            let unit = ["K": 1 << 10, "M": 1 << 20][size.suffix(1)]
        else { return nil }
        return Cache(
            level: level, type: SystemFile.word(path + "/type") ?? "", bytes: number * unit,
            sharedBy: SystemFile.word(path + "/shared_cpu_list") ?? "")
    }
}

/// Limits of the control groups that a process is in.
public struct GroupLimits: Sendable, Equatable {
    /// Bytes.
    public var memoryLimit: Int?
    /// Bytes in use, where the kernel tells.
    public var memoryUsed: Int?
    /// Processors' worth of time, e.g. 1.5.
    public var processorQuota: Double?

    public init() {}

    init(_ groups: ControlGroups) {
        memoryLimit = groups.memoryLimit
        memoryUsed = groups.memoryUsed
        processorQuota = groups.processorQuota
    }
}
