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

    public init(bytes: Int, source: Source) {
        self.bytes = bytes
        self.source = source
    }

    /// What is left for other work where nobody says how much memory to take: a sixteenth, at least
    /// 64 MiB.
    static func reserve(of bytes: Int) -> Int { max(64 << 20, bytes / 16) }

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
        budget.bytes = max(0, budget.bytes - reserve(of: budget.bytes))
        return budget
    }

    /// What the user asked for, but not more than a control group allows.
    public static func asked(_ bytes: Int) -> MemoryBudget {
        guard let group = ControlGroup.freeBytes(), group < bytes else {
            return MemoryBudget(bytes: bytes, source: .option)
        }
        return MemoryBudget(bytes: group, source: .controlGroup)
    }
}

/// Memory limits of control groups, of version 2 and 1.
enum ControlGroup {
    /// Bytes this process may still take in its control group and those around it, what the kernel can
    /// drop counted as free; nil without any limit.
    static func freeBytes(root: String = "/sys/fs/cgroup", of process: String? = nil) -> Int? {
        let lines = (process ?? SystemFile.text("/proc/self/cgroup") ?? "").split(separator: "\n")
        var least: Int?
        for line in lines {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isUnified = fields[1].isEmpty
            guard isUnified || fields[1].split(separator: ",").contains("memory") else { continue }
            for folder in folders(root + (isUnified ? "" : "/memory"), String(fields[2])) {
                guard let free = isUnified ? unified(folder) : legacy(folder) else { continue }
                least = min(least ?? free, free)
            }
        }
        return least
    }

    /// The group's folder and those above it, up to where groups are mounted; in a container the group
    /// may be the mount itself.
    private static func folders(_ mount: String, _ group: String) -> [String] {
        var path = mount
        return [mount]
            + group.split(separator: "/").map { name in
                path += "/" + name
                return path
            }
    }

    private static func unified(_ folder: String) -> Int? {
        let limits = ["memory.max", "memory.high"].compactMap {
            SystemFile.integer("\(folder)/\($0)")  // nil for "max"
        }
        guard let limit = limits.min(), let used = SystemFile.integer("\(folder)/memory.current")
        else { return nil }
        let stat = SystemFile.text("\(folder)/memory.stat") ?? ""
        let dropped = ["active_file", "inactive_file"].compactMap {
            SystemFile.field($0, in: stat)
        }
        return max(0, limit - max(0, used - dropped.reduce(0, +)))
    }

    private static func legacy(_ folder: String) -> Int? {
        guard let limit = SystemFile.integer("\(folder)/memory.limit_in_bytes"),
            limit < 1 << 60,  // larger ones mean none
            let used = SystemFile.integer("\(folder)/memory.usage_in_bytes")
        else { return nil }
        let stat = SystemFile.text("\(folder)/memory.stat") ?? ""
        let dropped = ["total_active_file", "total_inactive_file"].compactMap {
            SystemFile.field($0, in: stat)
        }
        return max(0, limit - max(0, used - dropped.reduce(0, +)))
    }
}
