/// How much memory this process may take, and who says so.
public struct MemoryBudget: Sendable, Equatable {
    public enum Source: String, Sendable {
        /// The user named it.
        case option
        /// What the machine has free.
        case machine
        /// What this process's control group, or one around it, leaves.
        case controlGroup = "control group"
    }

    /// Bytes of everything this process holds that cannot be dropped.
    public var bytes: Int
    public var source: Source

    /// No limit at all.
    public static let unlimited = MemoryBudget(bytes: Int.max / 2, source: .machine)
    var isKnown: Bool { self != .unlimited }

    public init(bytes: Int, source: Source) {
        self.bytes = bytes
        self.source = source
    }

    /// What is left for other work where nobody says how much memory to take: a sixteenth of a
    /// machine, at least 64 MiB; of a control group a sixty-fourth, at least 24 MiB, for what the
    /// kernel counts besides a program's own memory.
    static func reserve(of bytes: Int, in source: Source) -> Int {
        source == .controlGroup ? max(24 << 20, bytes / 64) : max(64 << 20, bytes / 16)
    }

    /// The memory that can be taken now without pushing anything out: the machine's or what the
    /// control groups leave, whichever is less, but for a reserve.
    public static func available() -> MemoryBudget {
        let machine = SystemFile.text("/proc/meminfo").flatMap {
            SystemFile.field("MemAvailable", in: $0) ?? SystemFile.field("MemTotal", in: $0)
        }
        var budget = MemoryBudget(bytes: machine ?? 1 << 30, source: .machine)
        if let group = ControlGroup.freeBytes(), group < budget.bytes {
            budget = MemoryBudget(bytes: group, source: .controlGroup)
        }
        budget.bytes = max(0, budget.bytes - reserve(of: budget.bytes, in: budget.source))
        return budget
    }

    /// What the user asked for, but not more than a control group allows.
    public static func asked(_ bytes: Int) -> MemoryBudget {
        asked(bytes, groupLeaves: ControlGroup.freeBytes())
    }

    static func asked(_ bytes: Int, groupLeaves free: Int?) -> MemoryBudget {
        guard let free, case let group = free - reserve(of: free, in: .controlGroup), group < bytes
        else { return MemoryBudget(bytes: bytes, source: .option) }
        return MemoryBudget(bytes: max(0, group), source: .controlGroup)
    }

    /// What the control groups allow in all, where that is less than `bytes`: somebody has lowered a
    /// limit since the plan that takes so many was made.
    static func lowered(below bytes: Int) -> MemoryBudget? {
        guard let limit = ControlGroup.limit(), limit < bytes else { return nil }
        return MemoryBudget(
            bytes: max(0, limit - reserve(of: limit, in: .controlGroup)), source: .controlGroup)
    }
}

/// Memory limits of control groups, of version 2 and 1.
enum ControlGroup {
    /// One control group that may have a limit.
    private struct Group {
        var folder: String
        var isUnified: Bool

        /// Its limit; nil without one.
        var limit: Int? {
            guard isUnified else {
                return SystemFile.integer("\(folder)/memory.limit_in_bytes")
                    .flatMap { $0 < 1 << 60 ? $0 : nil }  // larger ones mean none
            }
            return ["memory.max", "memory.high"].compactMap {
                SystemFile.integer("\(folder)/\($0)")  // nil for "max"
            }.min()
        }

        /// What it leaves, what the kernel can drop counted as free; nil without a limit.
        var free: Int? {
            let name = isUnified ? "memory.current" : "memory.usage_in_bytes"
            guard let limit, let used = SystemFile.integer("\(folder)/\(name)") else { return nil }
            let stat = SystemFile.text("\(folder)/memory.stat") ?? ""
            let prefix = isUnified ? "" : "total_"
            let dropped = ["active_file", "inactive_file"].compactMap {
                SystemFile.field(prefix + $0, in: stat)
            }
            return max(0, limit - max(0, used - dropped.reduce(0, +)))
        }
    }

    /// Bytes this process may still take in its control group and those around it, what the kernel can
    /// drop counted as free; nil without any limit.
    static func freeBytes(root: String = "/sys/fs/cgroup", of process: String? = nil) -> Int? {
        groups(root, process).compactMap(\.free).min()
    }

    /// The lowest limit of its control group and those around it; nil without any.
    static func limit(root: String = "/sys/fs/cgroup", of process: String? = nil) -> Int? {
        groups(root, process).compactMap(\.limit).min()
    }

    /// The groups of a process and those above them, up to where groups are mounted; in a container the
    /// group may be the mount itself.
    ///
    /// - Parameter process: What stands in /proc/self/cgroup.
    private static func groups(_ root: String, _ process: String?) -> [Group] {
        let lines = (process ?? SystemFile.text("/proc/self/cgroup") ?? "").split(separator: "\n")
        return lines.flatMap { line -> [Group] in
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { return [] }
            let isUnified = fields[1].isEmpty
            guard isUnified || fields[1].split(separator: ",").contains("memory") else { return [] }
            var path = root + (isUnified ? "" : "/memory")
            let inner = fields[2].split(separator: "/").map { name in
                path += "/" + name
                return Group(folder: path, isUnified: isUnified)
            }
            return [Group(folder: root + (isUnified ? "" : "/memory"), isUnified: isUnified)]
                + inner
        }
    }
}
