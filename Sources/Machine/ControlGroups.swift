internal import Glibc

/// The control groups of a process and the groups around them, of version 1 and 2: how much memory and
/// processor time they allow.
public struct ControlGroups: Sendable {
    /// Groups that may limit memory, and groups that may limit processor time.
    private var memory: [MemoryGroup] = []
    private var processors: [ProcessorGroup] = []

    /// The groups of this process, found once.
    public static let own = ControlGroups()

    /// Follows /proc/self/cgroup to where the hierarchies are mounted.
    ///
    /// - Parameter root: Put in front of every path, for tests.
    public init(root: String = "") {
        let mounts = Mount.all(root: root)
        let lines = SystemFile.text(root + "/proc/self/cgroup") ?? ""
        for line in lines.split(separator: "\n") {
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let controllers = fields[1].split(separator: ",").map(String.init)
            for wanted in ["memory", "cpu"] where fields[1].isEmpty || controllers.contains(wanted)
            {
                let hierarchy = Hierarchy(controllers: controllers, wanted: wanted)
                for folder in hierarchy.folders(of: String(fields[2]), mounts, root: root) {
                    add(folder, isUnified: fields[1].isEmpty, wanted)
                }
            }
        }
    }

    private mutating func add(_ folder: String, isUnified: Bool, _ controller: String) {
        if controller == "memory" {
            memory.append(MemoryGroup(folder: folder, isUnified: isUnified))
        } else {
            processors.append(ProcessorGroup(folder: folder, isUnified: isUnified))
        }
    }

    /// Lowest limit of memory in bytes; nil without any.
    public var memoryLimit: Int? { memory.compactMap(\.limit).min() }

    /// Bytes in use in the innermost group that tells.
    public var memoryUsed: Int? { memory.lazy.compactMap(\.used).first }

    /// Bytes that may still be taken, pages that the kernel can drop counted as free; nil without any
    /// limit. A group that does not tell what is in use leaves its limit.
    ///
    /// - Parameter shared: Bytes of files on a file system in memory (tmpfs) that will be used as they
    ///   are: where a group pays for them already, they are not to be paid for again.
    public func memoryLeft(sharing shared: Int = 0) -> Int? {
        memory.compactMap { $0.left(sharing: shared) }.min()
    }

    /// How often a group has reached a limit of memory so far.
    public var memoryPressure: Int { memory.reduce(0) { $0 + $1.pressure } }

    /// Processors' worth of time that the tightest group allows, e.g. 1.5; nil without any limit.
    public var processorQuota: Double? { processors.compactMap(\.quota).min() }
}

/// One tree of control groups, and where it may be mounted.
private struct Hierarchy {
    /// Empty for version 2.
    var controllers: [String]
    /// The controller that is asked about.
    var wanted: String

    /// Folders of a group and of those around it, the innermost first. Some may not exist.
    ///
    /// - Parameter path: As /proc/self/cgroup names the group.
    func folders(of path: String, _ mounts: [Mount], root: String) -> [String] {
        let names = path.split(separator: "/").map(String.init)
        // Outside this namespace: no group that is mounted here contains it.
        guard !names.contains("..") else { return [] }
        return self.mounts(mounts).flatMap { mount in
            chain(names, at: root + mount.point, below: mount.root)
        }
    }

    private func mounts(_ all: [Mount]) -> [Mount] {
        let known = all.filter {
            controllers.isEmpty
                ? $0.type == "cgroup2" : $0.type == "cgroup" && $0.options.contains(wanted)
        }
        guard known.isEmpty else { return known }
        let names =
            controllers.isEmpty ? [""] : ["/\(wanted)", "/" + controllers.joined(separator: ",")]
        return Set(names).sorted().map {
            Mount(device: "", root: "/", point: "/sys/fs/cgroup" + $0, type: "", options: [])
        }
    }

    private func chain(_ path: [String], at point: String, below root: String) -> [String] {
        var names = path[...]
        let above = root.split(separator: "/").map(String.init)
        if names.starts(with: above) { names = names.dropFirst(above.count) }
        let whole = Self.prefixes(names, point)
        // In a container the path may be the host's: the longest end of it that exists here is the group.
        while !names.isEmpty, unsafe access(point + "/" + names.joined(separator: "/"), F_OK) != 0 {
            names = names.dropFirst()
        }
        return whole + (names.count < whole.count - 1 ? Self.prefixes(names, point) : [])
    }

    /// `a/b` gives `/a/b`, `/a` and the point itself.
    private static func prefixes(_ names: ArraySlice<String>, _ point: String) -> [String] {
        (0...names.count).reversed().map { count in
            names.prefix(count).reduce(point) { $0 + "/" + $1 }
        }
    }
}

/// A group that may have a limit of memory.
private struct MemoryGroup: Sendable {
    var folder: String
    var isUnified: Bool

    /// Bytes; nil without a limit.
    var limit: Int? {
        if isUnified {
            return ["memory.max", "memory.high"].compactMap(integer).min()  // nil for "max"
        }
        // The second also knows of groups around a container, which cannot be seen from inside.
        return [integer("memory.limit_in_bytes"), field("hierarchical_memory_limit")]
            .compactMap { $0 }.filter { $0 < 1 << 60 }.min()  // larger ones mean none
    }

    /// Bytes in use, pages of files included; nil if that is not told.
    var used: Int? { integer(isUnified ? "memory.current" : "memory.usage_in_bytes") }

    func left(sharing shared: Int) -> Int? {
        guard let limit else { return nil }
        let dropped = total("active_file") + total("inactive_file")
        let bound = (used ?? 0) - dropped - min(shared, total("shmem"))
        return max(0, limit - max(0, bound))
    }

    var pressure: Int {
        guard isUnified else { return integer("memory.failcnt") ?? 0 }
        let events = SystemFile.text(folder + "/memory.events") ?? ""
        return ["high", "max"].compactMap { SystemFile.field($0, in: events) }.reduce(0, +)
    }

    private func integer(_ name: String) -> Int? { SystemFile.integer("\(folder)/\(name)") }

    private func field(_ name: String) -> Int? {
        SystemFile.field(name, in: SystemFile.text(folder + "/memory.stat") ?? "")
    }

    /// Bytes of a kind in this group and those in it.
    private func total(_ kind: String) -> Int { field(isUnified ? kind : "total_" + kind) ?? 0 }
}

/// A group that may have a limit of processor time.
private struct ProcessorGroup: Sendable {
    var folder: String
    var isUnified: Bool

    /// Processors' worth of time; nil without a limit.
    var quota: Double? {
        let names = isUnified ? ["cpu.max"] : ["cpu.cfs_quota_us", "cpu.cfs_period_us"]
        let words = names.flatMap {
            (SystemFile.text("\(folder)/\($0)") ?? "").split(whereSeparator: \.isWhitespace)
        }
        // "max" and -1 mean none.
        guard words.count >= 2, let quota = Double(words[0]), let period = Double(words[1]),
            quota > 0, period > 0
        else { return nil }
        return quota / period
    }
}
