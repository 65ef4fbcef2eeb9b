import Foundation
import TesseraKernels
import TesseraTestSupport
import Testing

@testable import TesseraProfiling

@Suite("Facts of a machine")
struct MachineTests {
    @Test("Processor, memory and caches are read from the kernel's files")
    func facts() throws {
        let cpu = "processor\t: 0\nmodel name\t: Quick 9\nflags\t\t: fpu avx2 hypervisor fma\n"
        let cache = "/sys/devices/system/cpu/cpu0/cache/index0/"
        let tree = try FakeTree([
            "/proc/cpuinfo": cpu + "\n" + cpu,
            "/proc/meminfo": "MemTotal:  2048 kB\nMemAvailable: 1024 kB\nSwapTotal: 4 kB\n",
            "/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never\n",
            cache + "level": "1\n", cache + "type": "Data\n", cache + "size": "32K\n",
            cache + "shared_cpu_list": "0-1\n",
        ])
        let facts = MachineFacts.read(root: tree.root.path)
        #expect(facts.processor == "Quick 9" && facts.processors == 2 && facts.isVirtual)
        #expect(facts.features == ["avx2", "fma"])
        #expect(facts.memoryBytes == 2 << 20 && facts.availableBytes == 1 << 20)
        #expect(facts.swapBytes == 4096 && facts.usableBytes == facts.memoryBytes)
        #expect(facts.hugePages == "madvise")
        #expect(facts.caches.map(\.bytes) == [32768] && facts.caches.map(\.sharedBy) == ["0-1"])
    }

    @Test("Twice the largest cache is read where memory allows it")
    func readBytes() {
        var facts = MachineFacts()
        facts.memoryBytes = 24 << 30
        #expect(facts.readBytes == 128 << 20)
        facts.caches = [.init(level: 3, type: "Unified", bytes: 300 << 20, sharedBy: "0-1")]
        #expect(facts.readBytes == 600 << 20)
        facts.availableBytes = 800 << 20
        #expect(facts.readBytes == 100 << 20)
        facts.group.memoryLimit = 400 << 20
        #expect(facts.readBytes == 50 << 20)
    }

    @Test("An empty machine gives facts too")
    func nothing() {
        let facts = MachineFacts.read(root: "/nowhere")
        #expect(facts.processors == 0 && facts.caches.isEmpty && facts.group == GroupLimits())
    }

    @Test("Limits of control groups are facts too")
    func groups() throws {
        let tree = try FakeTree([
            "/proc/self/cgroup": "0::/outer/inner\n",
            "/sys/fs/cgroup/outer/memory.max": "3000\n",
            "/sys/fs/cgroup/outer/cpu.max": "150000 100000\n",
            "/sys/fs/cgroup/outer/inner/memory.current": "77\n",
        ])
        let group = MachineFacts.read(root: tree.root.path).group
        #expect(group.memoryLimit == 3000 && group.memoryUsed == 77)
        #expect(group.processorQuota == 1.5)
    }

    @Test("Time that others took is what was busy and not ours")
    func foreignTime() {
        var start = SystemLoad()
        start.totalTicks = 1000
        var end = start
        end.totalTicks += 400
        end.idleTicks += 100
        end.stolenTicks += 40
        end.ownTicks += 160
        end.majorFaults += 3
        end.diskBytes += 5_000_000
        let change = LoadChange(from: start, to: end)
        #expect(change.stolenShare == 0.1 && change.foreignShare == 0.25)
        #expect(change.warnings.count == 3 && change.warnings[2].hasPrefix("5.00 MB"))
        #expect(LoadChange(from: start, to: start).warnings.isEmpty)
    }

    @Test("This machine's own counters go forward")
    func counters() {
        let first = SystemLoad.now()
        let second = SystemLoad.now()
        #expect(first.totalTicks > 0 && second.totalTicks >= first.totalTicks)
        #expect(second.minorFaults >= first.minorFaults && first.minorFaults > 0)
    }
}

@Suite("Advice")
struct AdviceTests {
    private func report(_ change: (inout MachineReport) -> Void = { _ in }) -> MachineReport {
        var report = MachineReport()
        report.isa = "avx2"
        report.threads = 4
        report.facts.processors = 4
        report.facts.memoryBytes = 16_000_000_000
        report.facts.availableBytes = 12_000_000_000
        report.reading = [
            .init(threads: 1, bytesPerSecond: 10e9), .init(threads: 4, bytesPerSecond: 30e9),
        ]
        report.multiplying = [
            .init(isa: "avx2", macsPerSecond: 300e9), .init(isa: "scalar", macsPerSecond: 9e9),
        ]
        change(&report)
        return report
    }

    @Test("A quiet machine with enough of everything needs none")
    func none() { #expect(report().advice.isEmpty) }

    @Test("Too little memory for a large model is a problem, and the disk's time is told")
    func memory() {
        let report = report {
            $0.facts.group.memoryLimit = 3_000_000_000
            $0.disk = DiskRate(bytes: 1_000_000_000, seconds: 1, isDirect: true)
        }
        #expect(report.advice.first?.weight == .problem)
        #expect(report.advice.first?.text.contains("4.6 s each") == true)
        #expect(report.advice.contains { $0.weight == .note && $0.text.contains("3.00 GB") })
    }

    @Test("Scalar kernels, slower kernels, quotas and lone readers are pointed out")
    func others() {
        #expect(report { $0.isa = "scalar" }.advice.first?.text.contains("vector") == true)
        #expect(
            report { $0.multiplying.append(.init(isa: "fast", macsPerSecond: 900e9)) }
                .advice.first?.text.contains("fast multiplies faster") == true)
        #expect(report { $0.facts.group.processorQuota = 1.5 }.advice.count == 1)
        #expect(report { $0.reading[1].bytesPerSecond = 10.5e9 }.advice.count == 1)
    }

    @Test("The limits are those of the instruction set in use")
    func limits() {
        #expect(report().limits.int8MacsPerSecond == 300e9)
        #expect(report { $0.isa = "scalar" }.limits.int8MacsPerSecond == 9e9)
        #expect(report().limits.readBytesPerSecond == 30e9)
    }

    @Test("Measuring this machine gives positive rates and valid JSON")
    func measure() throws {
        let report = try MachineReport.measure(diskFile: #filePath)
        #expect(report.limits.readBytesPerSecond > 0 && report.limits.int8MacsPerSecond > 0)
        #expect(report.multiplying.map(\.isa) == Compute.availableISAs)
        #expect(report.reading.last?.threads == report.threads)
        #expect((report.pageFaults?.anonymousSecondsPerPage ?? 0) > 0)
        #expect((report.disk?.bytes ?? 0) > 0)
        let parsed = try JSONSerialization.jsonObject(with: Data(report.json.text.utf8))
        let object = try #require(parsed as? [String: Any])
        #expect(object["isa"] as? String == report.isa)
        #expect((object["reading"] as? [Any])?.count == report.reading.count)
        #expect(report.text().contains(report.isa))
    }

    @Test("A disk cannot be measured without a file on it")
    func noFile() {
        #expect(throws: ProfilingError.unreadable("/nowhere/file", code: ENOENT)) {
            try MachineReport.measure(diskFile: "/nowhere/file")
        }
    }
}
