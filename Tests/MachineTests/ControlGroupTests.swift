import TesseraTestSupport
import Testing

@testable import TesseraMachine

/// Version 2 alone, mounted where it always is.
private let unified = "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
private let group = "/sys/fs/cgroup"

/// The control groups of a made-up machine.
@dynamicMemberLookup private final class FakeGroups {
    private let tree: FakeTree
    private let groups: ControlGroups

    /// - Parameters:
    ///   - path: What /proc/self/cgroup says.
    ///   - mounts: What /proc/self/mountinfo says; nil: it is not there.
    init(_ path: String, mounts: String? = unified, _ files: [String: String]) throws {
        tree = try FakeTree(files)
        try tree.put(path, "/proc/self/cgroup")
        if let mounts { try tree.put(mounts, "/proc/self/mountinfo") }
        groups = ControlGroups(root: tree.root.path)
    }

    subscript<T>(dynamicMember path: KeyPath<ControlGroups, T>) -> T { groups[keyPath: path] }

    func put(_ text: String, _ path: String) throws { try tree.put(text, path) }

    func memoryLeft(sharing shared: Int = 0) -> Int? { groups.memoryLeft(sharing: shared) }
}

@Suite struct ControlGroupTests {
    @Test func theTightestOfNestedQuotasCounts() throws {
        let groups = try FakeGroups(
            "0::/outer/middle/inner\n",
            [
                group + "/cpu.max": "max 100000\n",
                group + "/outer/cpu.max": "150000 100000\n",
                group + "/outer/middle/cpu.max": "max 100000\n",
                group + "/outer/middle/inner/cpu.max": "400000 100000\n",
            ])
        #expect(groups.processorQuota == 1.5)
    }

    @Test func quotasOfVersionOneAreNestedToo() throws {
        let mounts = """
            32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
            """
        let cpu = group + "/cpu,cpuacct"
        let groups = try FakeGroups(
            "4:memory:/x\n1:cpu,cpuacct:/a/b\n", mounts: mounts,
            [
                cpu + "/cpu.cfs_quota_us": "-1\n", cpu + "/cpu.cfs_period_us": "100000\n",
                cpu + "/a/cpu.cfs_quota_us": "50000\n", cpu + "/a/cpu.cfs_period_us": "100000\n",
                cpu + "/a/b/cpu.cfs_quota_us": "-1\n",
                cpu + "/a/b/cpu.cfs_period_us": "100000\n",
            ])
        #expect(groups.processorQuota == 0.5 && groups.memoryLimit == nil)
    }

    @Test func bothVersionsAreReadSideBySide() throws {
        let mounts = """
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
            """
        let groups = try FakeGroups(
            "4:memory:/x\n0::/y\n", mounts: mounts,
            [
                group + "/memory/x/memory.limit_in_bytes": "5000\n",
                group + "/unified/y/cpu.max": "200000 100000\n",
            ])
        #expect(groups.memoryLimit == 5000 && groups.processorQuota == 2)
    }

    @Test func theRootOfAContainerIsFoundByTheHostsPath() throws {
        let files = [
            group + "/cpu.max": "100000 100000\n", group + "/memory.max": "7000\n",
            group + "/job/memory.max": "6000\n",
        ]
        // With and without word of where in the hierarchy the mount begins.
        let known = "31 23 0:28 /kubepods/pod1 /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
        for mounts in [known, unified] {
            let groups = try FakeGroups("0::/kubepods/pod1/job\n", mounts: mounts, files)
            #expect(groups.processorQuota == 1 && groups.memoryLimit == 6000)
        }
        let outer = try FakeGroups("0::/kubepods/pod1\n", mounts: known, files)
        #expect(outer.memoryLimit == 7000)
    }

    @Test func aGroupOutsideTheNamespaceHasNoKnownLimits() throws {
        let groups = try FakeGroups("0::/../other\n", [group + "/memory.max": "7000\n"])
        #expect(groups.memoryLimit == nil)
    }

    @Test func usualPlacesAreTriedWhereMountsAreNotTold() throws {
        let one = try FakeGroups(
            "4:memory:/x\n1:cpu,cpuacct:/a\n", mounts: nil,
            [
                group + "/memory/x/memory.limit_in_bytes": "5000\n",
                group + "/cpu,cpuacct/a/cpu.cfs_quota_us": "300000\n",
                group + "/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
            ])
        #expect(one.memoryLimit == 5000 && one.processorQuota == 3)
        let two = try FakeGroups("0::/x\n", mounts: nil, [group + "/x/memory.max": "9\n"])
        #expect(two.memoryLimit == 9)
    }

    @Test func theLowestMemoryLimitCountsAndHighIsOne() throws {
        let groups = try FakeGroups(
            "0::/a/b\n",
            [
                group + "/a/memory.max": "5000\n", group + "/a/b/memory.max": "max\n",
                group + "/a/b/memory.high": "4000\n", group + "/a/b/memory.current": "77\n",
            ])
        #expect(groups.memoryLimit == 4000 && groups.memoryUsed == 77)
    }

    @Test func whatTheKernelCanDropCountsAsFree() throws {
        let groups = try FakeGroups(
            "0::/a/b\n",
            [
                group + "/a/memory.max": "max\n", group + "/a/memory.high": "3000\n",
                group + "/a/memory.current": "1000\n",
                group + "/a/memory.stat": "anon 400\nactive_file 100\ninactive_file 500\n",
                group + "/a/b/memory.max": "5000\n", group + "/a/b/memory.current": "900\n",
            ])
        #expect(groups.memoryLeft() == 3000 - (1000 - 600))
    }

    @Test func aLimitCountsWhereTheUseIsNotTold() throws {
        let groups = try FakeGroups("0::/a\n", [group + "/a/memory.max": "5000\n"])
        #expect(groups.memoryLeft() == 5000 && groups.memoryUsed == nil)
    }

    @Test func filesInMemoryAreNotPaidForTwice() throws {
        let groups = try FakeGroups(
            "0::/a\n",
            [
                group + "/a/memory.max": "5000\n", group + "/a/memory.current": "4000\n",
                group + "/a/memory.stat": "anon 900\nshmem 3000\ninactive_file 100\n",
            ])
        #expect(groups.memoryLeft() == 5000 - 3900)
        #expect(groups.memoryLeft(sharing: 2500) == 5000 - 1400)
        // No more than the group pays for.
        #expect(groups.memoryLeft(sharing: 9000) == 5000 - 900)
    }

    @Test func versionOneTellsOfGroupsThatCannotBeSeen() throws {
        let mounts = "35 31 0:32 /pod /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        let groups = try FakeGroups(
            "4:memory:/pod\n", mounts: mounts,
            [
                group + "/memory/memory.limit_in_bytes": "9223372036854771712\n",
                group + "/memory/memory.usage_in_bytes": "1096\n",
                group + "/memory/memory.stat":
                    "hierarchical_memory_limit 4096\ntotal_inactive_file 96\n",
            ])
        #expect(groups.memoryLimit == 4096 && groups.memoryLeft() == 3096)
    }

    @Test func pressureIsCountedInBothVersions() throws {
        let groups = try FakeGroups(
            "0::/a\n", [group + "/a/memory.events": "low 9\nhigh 2\nmax 1\noom 0\n"])
        #expect(groups.memoryPressure == 3)
        try groups.put("low 9\nhigh 7\nmax 1\noom 0\n", group + "/a/memory.events")
        #expect(groups.memoryPressure == 8)
        let mounts = "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        let one = try FakeGroups(
            "4:memory:/a\n", mounts: mounts, [group + "/memory/a/memory.failcnt": "5\n"])
        #expect(one.memoryPressure == 5)
    }

    @Test func nothingIsKnownWithoutFiles() {
        let groups = ControlGroups(root: "/nonexistent")
        #expect(groups.memoryLimit == nil && groups.memoryLeft() == nil)
        #expect(groups.processorQuota == nil && groups.memoryPressure == 0)
    }
}
