internal import Glibc

/// Processors that this process may use.
public enum Processors {
    /// Threads that have a processor each: those of the affinity mask, but no more whole ones than the
    /// control groups give time for; at least 1.
    public static var usable: Int { usable(of: allowed(), quota: ControlGroups.own.processorQuota) }

    /// A part of a processor does not count: a thread that gets half the time of the others delays them.
    static func usable(of allowed: Int, quota: Double?) -> Int {
        max(1, min(allowed, quota.map { Int(min($0, 1e9)) } ?? .max))
    }

    /// Processors of the affinity mask that are online; at least 1.
    ///
    /// The kernel's lists are read since a mask of fixed size, as the C library has it, ends at 1024
    /// processors.
    ///
    /// - Parameter root: Put in front of every path, for tests.
    public static func allowed(root: String = "") -> Int {
        let status = SystemFile.text(root + "/proc/self/status") ?? ""
        let mask = SystemFile.values("Cpus_allowed_list", in: status).first.map(ranges) ?? []
        let online = SystemFile.word(root + "/sys/devices/system/cpu/online").map(ranges) ?? []
        guard !mask.isEmpty, !online.isEmpty else {
            let known = (mask + online).reduce(0) { $0 + $1.count }
            return max(1, known > 0 ? known : sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        }
        let both = mask.flatMap { one in online.map { one.clamped(to: $0) } }
        return max(1, both.reduce(0) { $0 + $1.count })
    }

    /// `0-3,8` names five processors.
    private static func ranges(_ list: String) -> [Range<Int>] {
        list.split(separator: ",").compactMap { part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last, last < .max else {
                return nil
            }
            return first..<last + 1
        }
    }
}
