internal import Glibc
internal import TesseraMachine

/// Resources that this process has used.
enum Resources {
    /// Largest resident set so far, in bytes.
    static var peakRSS: Int { Int(usage.ru_maxrss) * 1024 }

    static var majorFaults: Int { Int(usage.ru_majflt) }

    /// Bytes that were read from disks for this process, through the page cache or past it.
    static var bytesRead: Int {
        SystemFile.field("read_bytes", in: SystemFile.text("/proc/self/io") ?? "") ?? 0
    }

    private static var usage: rusage {
        var usage = rusage()
        unsafe getrusage(RUSAGE_SELF.rawValue, &usage)
        return usage
    }
}
