import Glibc

/// Limits that the system sets for this process.
enum ProcessLimits {
    /// Files that are open in addition to connections.
    private static let others = 128

    /// Raises the limit of open files for some connections.
    ///
    /// - Returns: How many there may be; fewer where the system allows no more.
    static func allowFiles(_ connections: Int) -> Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return connections
        }
        let wanted = rlim_t(connections + others)
        if limit.rlim_cur < wanted {
            limit.rlim_cur = min(wanted, limit.rlim_max)
            guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
                return connections
            }
        }
        return min(connections, max(16, Int(clamping: limit.rlim_cur) - others))
    }

    /// A write beyond the limit of `ulimit -f` then fails with an error instead of ending the process by a signal.
    static func ignoreFileSize() { signal(SIGXFSZ, SIG_IGN) }
}
