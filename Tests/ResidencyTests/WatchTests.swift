import Foundation
import TesseraMachine
import TesseraTestSupport
import Testing
import TesseraWeightFile

@testable import TesseraResidency
@testable import TesseraTransformer

/// A copy of a model that a test may change.
struct ModelCopy {
    private let folder: TemporaryFolder
    var url: URL { folder.url.appending(path: "model.tsr") }

    init(of original: URL = StreamTests.model) throws {
        folder = try TemporaryFolder()
        try FileManager.default.copyItem(at: original, to: url)
    }

    /// Sets the time of the last change to another.
    func touch() throws {
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSinceNow: 5)], ofItemAtPath: url.path)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws {
        let handle = try FileHandle(forUpdating: url)
        try handle.seek(toOffset: UInt64(offset))
        try handle.write(contentsOf: Data(bytes))
        try handle.close()
    }

    func cut(to count: Int) throws {
        let handle = try FileHandle(forUpdating: url)
        try handle.truncate(atOffset: UInt64(count))
        try handle.close()
    }
}

@Suite struct WatchTests {
    @Test func aFileWhoseTimesWereSetIsInOrder() throws {
        let copy = try ModelCopy()
        let file = try WeightFile(path: copy.url.path)
        let tiles = file.tensors.reduce(0) { $0 + $1.tileCount }
        var watch = Watch(file)
        #expect(watch.change() == nil)
        try copy.touch()
        #expect(watch.change() == .touched(checked: tiles, of: tiles))
        #expect(watch.change() == nil)
    }

    @Test func changedBytesAreFound() throws {
        let copy = try ModelCopy()
        let file = try WeightFile(path: copy.url.path)
        var watch = Watch(file)
        let byte = try Data(contentsOf: copy.url)[100_000]
        try copy.write([byte ^ 1], at: 100_000)
        try copy.touch()
        guard case .damaged(let reason) = watch.change() else {
            Issue.record("a changed byte was not found")
            return
        }
        #expect(reason.contains("was written to while in use"))
    }

    @Test func anotherSizeIsDamage() throws {
        let copy = try ModelCopy()
        let file = try WeightFile(path: copy.url.path)
        var watch = Watch(file)
        try copy.cut(to: 50_000)
        guard case .damaged(let reason) = watch.change() else {
            Issue.record("a cut file was not found")
            return
        }
        #expect(reason.contains("to 50000 bytes while in use"))
    }

    @Test func theStoreTellsOfATouchAndGoesOn() throws {
        let copy = try ModelCopy()
        let notices = Notices()
        var options = Model.Options()
        options.contextLength = 64
        options.notice = { notices.add($0) }
        let transformer = try TokenSequence(
            try WeightFile(path: copy.url.path), options: options)
        try transformer.forward(committed: [1], logitRows: [0])
        try copy.touch()
        Thread.sleep(forTimeInterval: 0.3)
        try transformer.forward(committed: [2], logitRows: [0])
        guard case .fileTouched(copy.url.path, let checked, let all)? = notices.all.first else {
            Issue.record("nothing was told")
            return
        }
        #expect(checked == all && all > 0 && notices.all.count == 1)
    }

    @Test func tilesOfAChangedTableStayInsideTheirTensor() throws {
        let coded = try StreamTests().codedModel()
        defer { try? FileManager.default.removeItem(at: coded) }
        let file = try WeightFile(path: coded.path)
        let before = file.tensors.map { record in
            (0..<record.tileCount).map { file.tileRange($0, of: record) }
        }
        for garbage: UInt8 in [0, 255, 127] {
            let bytes = [UInt8](repeating: garbage, count: file.metadataBytes - 4096)
            let handle = try FileHandle(forUpdating: coded)
            try handle.seek(toOffset: 4096)
            try handle.write(contentsOf: Data(bytes))
            try handle.close()
            var differ = 0
            for (record, ranges) in zip(file.tensors, before) {
                for index in 0..<record.tileCount {
                    let range = file.tileRange(index, of: record)
                    #expect(!range.isEmpty && range.lowerBound >= record.offset)
                    #expect(range.upperBound <= record.offset + record.byteCount)
                    if record.storage == .plain { #expect(range == ranges[index]) }
                    if range != ranges[index] { differ += 1 }
                }
            }
            #expect(differ > 0, "the table was not changed")
        }
    }
}

/// Notices of a store.
private final class Notices: @unchecked Sendable {
    private let lock = NSLock()
    private var notices: [WeightNotice] = []
    func add(_ notice: WeightNotice) { lock.withLock { notices.append(notice) } }
    var all: [WeightNotice] { lock.withLock { notices } }
}

@Suite struct LimitWatchTests {
    private let group = "/sys/fs/cgroup/a"

    private func plan(_ budget: Int) throws -> ResidencyPlan {
        let items = [
            ResidencyPlan.Item(name: "w", tiles: Array(repeating: 60_000, count: 1000))
        ]
        let needs = ResidencyPlan.Needs(cache: 1 << 20, scratch: 1 << 20, base: 1 << 20)
        return try ResidencyPlan(
            items: items, mappedBytes: 0, needs: needs,
            budget: MemoryBudget(bytes: budget, source: .option))
    }

    private func tree(limit: String, used: Int, file: Int, events: Int) throws -> FakeTree {
        try FakeTree([
            "/proc/self/cgroup": "0::/a\n", "\(group)/memory.max": limit + "\n",
            "\(group)/memory.current": "\(used)\n",
            "\(group)/memory.stat": "active_file \(file)\n",
            "\(group)/memory.events": "high 0\nmax \(events)\n",
        ])
    }

    @Test func aLoweredLimitAsksForANewPlan() throws {
        let plan = try plan(200 << 20)
        #expect(plan.isResident)
        let tree = try tree(limit: "\(300 << 20)", used: 70 << 20, file: 60 << 20, events: 0)
        var watch = LimitWatch(ControlGroups(root: tree.root.path))
        #expect(watch.budget(instead: plan) == nil)
        try tree.put("\(50 << 20)\n", group + "/memory.high")
        let found = watch.budget(instead: plan)
        let (budget, isMust) = try #require(found)
        #expect(isMust && budget.source == .controlGroup)
        #expect(budget.bytes < 50 << 20 && budget.bytes > 20 << 20)
    }

    @Test func othersThatTakeTheMemoryAreNoticedByThePressure() throws {
        let plan = try plan(200 << 20)
        let tree = try tree(limit: "\(300 << 20)", used: 290 << 20, file: 20 << 20, events: 5)
        var watch = LimitWatch(ControlGroups(root: tree.root.path))
        #expect(watch.budget(instead: plan) == nil, "no limit was reached since the start")
        try tree.put("high 0\nmax 9\n", group + "/memory.events")
        let found = watch.budget(instead: plan)
        let (budget, isMust) = try #require(found)
        #expect(!isMust && budget.bytes < plan.totalBytes - (20 << 20))
        #expect(watch.budget(instead: plan) == nil, "the same events count once")
    }

    @Test func pressureOfPagesThatCanBeDroppedIsNone() throws {
        let plan = try plan(200 << 20)
        let tree = try tree(limit: "\(300 << 20)", used: 299 << 20, file: 280 << 20, events: 5)
        var watch = LimitWatch(ControlGroups(root: tree.root.path))
        try tree.put("high 0\nmax 9\n", group + "/memory.events")
        #expect(watch.budget(instead: plan) == nil)
    }
}
