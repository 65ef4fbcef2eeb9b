internal import Glibc

/// What this process has used.
enum Resources {
    /// Largest resident set so far, in bytes.
    static var peakRSS: Int { Int(usage.ru_maxrss) * 1024 }

    static var majorFaults: Int { Int(usage.ru_majflt) }

    private static var usage: rusage {
        var usage = rusage()
        unsafe getrusage(RUSAGE_SELF.rawValue, &usage)
        return usage
    }
}
