internal import TesseraMachine

internal import Glibc

/// The memory of this process.
public enum ProcessMemory {
    /// Largest resident set since the start or the last ``forgetPeak()``, in bytes.
    public static var peak: Int {
        SystemFile.field("VmHWM", in: SystemFile.text("/proc/self/status") ?? "") ?? 0
    }

    /// Resident now, in bytes.
    public static var resident: Int {
        let words = (SystemFile.text("/proc/self/statm") ?? "").split(separator: " ")
        return (words.count > 1 ? Int(words[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// Resets the peak to the memory that is resident now.
    public static func forgetPeak() { SystemFile.put("5", to: "/proc/self/clear_refs") }
}

/// The parts of a resident set, in bytes.
public struct MemorySplit: Sendable, Equatable {
    /// All that is resident.
    public var resident = 0
    /// The same with shared pages divided by those who share them.
    public var proportional = 0
    /// Buffers, stacks, the heap: what cannot be dropped.
    public var anonymous = 0
    /// Pages of files, which the kernel may drop and read again.
    public var file = 0
    /// Pages of the model's file among them.
    public var model = 0
    public var swapped = 0
    /// Pages of the model's file in the page cache, also those that other processes have read.
    public var pageCache = 0

    public init() {}

    /// - Parameters:
    ///   - rollup: What stands in /proc/self/smaps_rollup.
    ///   - maps: What stands in /proc/self/smaps.
    ///   - inode: The inode of the model's file.
    public init(rollup: String, maps: String, inode: UInt64) {
        resident = SystemFile.field("Rss", in: rollup) ?? 0
        proportional = SystemFile.field("Pss", in: rollup) ?? 0
        anonymous = SystemFile.field("Anonymous", in: rollup) ?? 0
        swapped = SystemFile.field("Swap", in: rollup) ?? 0
        file = max(0, resident - anonymous)
        var isModel = false
        for line in maps.split(separator: "\n") {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            if words.count >= 5, words[0].contains("-") {
                isModel = UInt64(words[4]) == inode
            } else if isModel, words.count >= 2, words[0] == "Rss:" {
                model += (Int(words[1]) ?? 0) * 1024
            }
        }
    }

    /// This process now.
    ///
    /// - Parameter modelPath: Path of the model's file.
    public static func now(modelPath: String) -> MemorySplit {
        var status = stat()
        let isKnown = unsafe stat(modelPath, &status) == 0
        var split = MemorySplit(
            rollup: SystemFile.text("/proc/self/smaps_rollup") ?? "",
            maps: SystemFile.text("/proc/self/smaps") ?? "",
            inode: isKnown ? UInt64(status.st_ino) : 0)
        split.pageCache = cachedBytes(of: modelPath, size: Int(status.st_size))
        return split
    }

    /// Bytes of a file that the page cache holds.
    private static func cachedBytes(of path: String, size: Int) -> Int {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0, size > 0 else { return 0 }
        defer { close(descriptor) }
        guard let map = unsafe mmap(nil, size, PROT_READ, MAP_SHARED, descriptor, 0),
            unsafe map != MAP_FAILED
        else { return 0 }
        defer { unsafe munmap(map, size) }
        var isResident = [UInt8](repeating: 0, count: (size + page - 1) / page)
        guard unsafe mincore(map, size, &isResident) == 0 else { return 0 }
        return min(size, isResident.reduce(0) { $0 + Int($1 & 1) } * page)
    }
}
