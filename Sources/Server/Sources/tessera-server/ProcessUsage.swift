import FoundationEssentials
import Glibc

/// What this process uses, as the kernel counts it.
struct ProcessUsage {
    /// Memory that is resident.
    var memoryBytes: Int
    /// Read from disks so far, through the page cache or past it.
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
