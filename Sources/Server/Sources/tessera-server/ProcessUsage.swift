import FoundationEssentials
import Glibc

/// Memory and disk use of this process, as the kernel counts them.
struct ProcessUsage {
    /// Bytes of resident memory.
    var memoryBytes: Int
    /// Bytes read from disks so far, through the page cache or past it.
    var bytesRead: Int

    static var now: ProcessUsage {
        let pages = text("/proc/self/statm").split(separator: " ").dropFirst().first
        let read = text("/proc/self/io").split(separator: "\n").first { $0.hasPrefix("read_bytes") }
        return ProcessUsage(
            memoryBytes: (pages.flatMap { Int($0) } ?? 0) * sysconf(Int32(_SC_PAGESIZE)),
            bytesRead: read?.split(separator: " ").last.flatMap { Int($0) } ?? 0)
    }

    private static func text(_ path: String) -> String {
        (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    }
}
