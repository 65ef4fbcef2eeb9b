internal import TesseraMachine

/// How much memory this process may take, and where that limit comes from.
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
    /// Units in which the user named it.
    public var units = ByteUnits.binary

    /// No limit at all.
    public static let unlimited = MemoryBudget(bytes: Int.max / 2, source: .machine)
    var isKnown: Bool { self != .unlimited }

    public init(bytes: Int, source: Source, units: ByteUnits = .binary) {
        self.bytes = bytes
        self.source = source
        self.units = units
    }

    /// Memory that is left for other work where the user names no limit: a sixteenth of a
    /// machine, at least 64 MiB; of a control group a sixty-fourth, at least 24 MiB, for what the
    /// kernel counts in addition to a program's own memory.
    static func reserve(of bytes: Int, in source: Source) -> Int {
        source == .controlGroup ? max(24 << 20, bytes / 64) : max(64 << 20, bytes / 16)
    }

    /// The memory that can be taken now without pushing anything out: the machine's or what the
    /// control groups leave, whichever is less, without a reserve.
    ///
    /// - Parameter shared: Bytes of a weight file on a file system in memory, which are paid for.
    public static func available(sharing shared: Int = 0) -> MemoryBudget {
        let machine = SystemFile.text("/proc/meminfo").flatMap {
            SystemFile.field("MemAvailable", in: $0) ?? SystemFile.field("MemTotal", in: $0)
        }
        var budget = MemoryBudget(bytes: (machine ?? 1 << 30) + shared, source: .machine)
        if let group = ControlGroups.own.memoryLeft(sharing: shared), group < budget.bytes {
            budget = MemoryBudget(bytes: group, source: .controlGroup)
        }
        budget.bytes = max(0, budget.bytes - reserve(of: budget.bytes, in: budget.source))
        return budget
    }

    /// The memory that the user asked for, but no more than a control group allows.
    ///
    /// - Parameter shared: Bytes of a weight file on a file system in memory, which are paid for.
    public static func asked(
        _ bytes: Int, units: ByteUnits = .binary, sharing shared: Int = 0
    ) -> MemoryBudget {
        asked(bytes, units, groupLeaves: ControlGroups.own.memoryLeft(sharing: shared))
    }

    static func asked(
        _ bytes: Int, _ units: ByteUnits = .binary, groupLeaves free: Int?
    ) -> MemoryBudget {
        guard let free, case let group = free - reserve(of: free, in: .controlGroup), group < bytes
        else { return MemoryBudget(bytes: bytes, source: .option, units: units) }
        return MemoryBudget(bytes: max(0, group), source: .controlGroup, units: units)
    }

    /// The memory that a control group's limit leaves to the only program in the group.
    static func under(_ limit: Int) -> MemoryBudget {
        MemoryBudget(
            bytes: max(0, limit - reserve(of: limit, in: .controlGroup)), source: .controlGroup)
    }
}
