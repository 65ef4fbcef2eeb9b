import Foundation
import Testing

@testable import Residency

@Suite struct PlanTests {
    private let needs = ResidencyPlan.Needs(cache: 1 << 20, scratch: 1 << 20, base: 1 << 20)

    private func items(_ count: Int) -> [ResidencyPlan.Item] {
        (0..<count).map {
            ResidencyPlan.Item(name: "\($0)", tiles: Array(repeating: 60_000, count: 40 + $0))
        }
    }

    private func plan(_ budget: Int, mapped: Int = 0) throws -> ResidencyPlan {
        try ResidencyPlan(
            items: items(20), mappedBytes: mapped, needs: needs,
            budget: MemoryBudget(bytes: budget, source: .option))
    }

    @Test func everythingStaysWhereItFits() throws {
        let all = items(20).reduce(0) { $0 + $1.bytes }
        let plan = try plan(all + (8 << 20))
        #expect(plan.isResident && plan.hotBytes == all && plan.windowBytes == 0)
        #expect(plan.hitRate == 1)
    }

    @Test func aPlanNeverPassesItsBudgetAndLeavesLittleOfIt() throws {
        let all = items(20).reduce(0) { $0 + $1.bytes }
        for budget in stride(from: 8 << 20, to: all, by: 1 << 20) {
            let plan = try plan(budget)
            #expect(plan.totalBytes <= budget)
            #expect(!plan.isResident)
            if plan.hotBytes > 0 { #expect(budget - plan.totalBytes < 2 << 20) }
            #expect(plan.hotBytes + plan.streamedBytes == all)
        }
    }

    @Test func everyMatrixKeepsTheSameShare() throws {
        let plan = try plan(32 << 20)
        let shares = plan.items.map { Double($0.hotTiles) / Double($0.tiles.count) }
        let (least, most) = (shares.min() ?? 0, shares.max() ?? 1)
        #expect(least > 0.3 && most - least < 2.5 / 40)
    }

    @Test func tooLittleMemoryIsRefusedWithWhatIsNeeded() {
        #expect(throws: ResidencyError.self) { try plan(3 << 20) }
        do {
            _ = try plan(3 << 20, mapped: 5 << 20)
        } catch {
            guard case .tooLittle(let budget, let needed)? = error as? ResidencyError else {
                Issue.record("\(error)")
                return
            }
            #expect(budget == 3 << 20 && needed > 8 << 20)
        }
    }

    @Test func tilesAreDecodedAheadAsFarAsThatSavesTime() throws {
        var coded = items(20)
        for index in coded.indices { coded[index].plainTileBytes = 70_000 }
        let all = coded.reduce(0) { $0 + $1.bytes }
        for budget in stride(from: 10 << 20, to: 3 * all / 2, by: 3 << 20) {
            let plan = try ResidencyPlan(
                items: coded, mappedBytes: 0, needs: needs,
                budget: MemoryBudget(bytes: budget, source: .option))
            for (readRate, decodeRate) in [(1e9, 1e6), (1e9, 2e9), (1e6, 1e9)] {
                let ahead = plan.decodingAhead(readRate: readRate, decodeRate: decodeRate)
                #expect(ahead.totalBytes <= budget)
                #expect(ahead.hotBytes + ahead.streamedBytes == all)
                #expect(
                    ahead.seconds(readRate, decodeRate) <= plan.seconds(readRate, decodeRate))
                for item in ahead.items {
                    #expect(item.decodedTiles <= item.hotTiles)
                    #expect(item.hotTiles <= item.tiles.count)
                }
                // Where reading takes longer than all decoding, no more is to be read.
                let reading = Double(plan.streamedBytes) / readRate
                if reading > Double(all) / decodeRate {
                    #expect(ahead.streamedBytes == plan.streamedBytes)
                }
                if readRate > 100 * decodeRate, budget > 20 << 20 { #expect(ahead.decodesAhead) }
            }
        }
    }

    @Test func plainTilesAreNeverDecoded() throws {
        let plan = try plan(32 << 20)
        #expect(plan.decodingAhead(readRate: 1e9, decodeRate: 1) == plan)
    }

    @Test func segmentsCoverTheStreamedTilesOnce() throws {
        let plan = try plan(32 << 20)
        for item in plan.items {
            var start = 1 << 14
            let ranges = item.tiles.map { size in
                defer { start += size }
                return start..<start + size
            }
            let segments = plan.segments(ranges, from: item.hotTiles)
            #expect(segments.flatMap { Array($0.tiles) } == Array(item.hotTiles..<ranges.count))
            for segment in segments {
                #expect(segment.bytes.lowerBound == ranges[segment.tiles.lowerBound].lowerBound)
                #expect(segment.bytes.upperBound == ranges[segment.tiles.upperBound - 1].upperBound)
                #expect(segment.tiles.count == 1 || segment.bytes.count <= plan.segmentBytes)
            }
        }
    }
}

@Suite struct ControlGroupTests {
    /// A folder that looks like /sys/fs/cgroup.
    private final class Groups {
        let root = FileManager.default.temporaryDirectory.appending(path: "groups-\(UUID())")

        func put(_ text: String, _ path: String) throws {
            let url = root.appending(path: path)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            try Data(text.utf8).write(to: url)
        }

        deinit { try? FileManager.default.removeItem(at: root) }
    }

    @Test func theTightestGroupOfVersionTwoCounts() throws {
        let groups = Groups()
        try groups.put("max\n", "a/memory.max")
        try groups.put("3000\n", "a/memory.high")
        try groups.put("1000\n", "a/memory.current")
        try groups.put("anon 400\nactive_file 100\ninactive_file 500\n", "a/memory.stat")
        try groups.put("5000\n", "a/b/memory.max")
        try groups.put("900\n", "a/b/memory.current")
        let free = ControlGroup.freeBytes(root: groups.root.path, of: "0::/a/b\n")
        #expect(free == 3000 - (1000 - 600))
    }

    @Test func versionOneIsReadUnderItsController() throws {
        let groups = Groups()
        try groups.put("4096\n", "memory/x/memory.limit_in_bytes")
        try groups.put("1096\n", "memory/x/memory.usage_in_bytes")
        try groups.put("total_inactive_file 96\n", "memory/x/memory.stat")
        try groups.put("9223372036854771712\n", "memory/memory.limit_in_bytes")
        try groups.put("99999\n", "memory/memory.usage_in_bytes")
        let lines = "5:cpu,cpuacct:/\n4:memory:/x\n0::/\n"
        #expect(ControlGroup.freeBytes(root: groups.root.path, of: lines) == 3096)
    }

    @Test func whatIsAskedForIsCutToWhatTheGroupLeaves() {
        let gigabyte = 1 << 30
        #expect(
            MemoryBudget.asked(gigabyte, groupLeaves: nil)
                == MemoryBudget(bytes: gigabyte, source: .option))
        #expect(
            MemoryBudget.asked(gigabyte, groupLeaves: 2 * gigabyte)
                == MemoryBudget(bytes: gigabyte, source: .option))
        let cut = MemoryBudget.asked(gigabyte, groupLeaves: gigabyte)
        #expect(cut.source == .controlGroup && cut.bytes < gigabyte)
        #expect(MemoryBudget.asked(gigabyte, groupLeaves: 1 << 20).bytes == 0)
    }

    @Test func theLowestLimitCountsHoweverMuchIsInUse() throws {
        let groups = Groups()
        try groups.put("5000\n", "a/memory.max")
        try groups.put("max\n", "a/b/memory.max")
        try groups.put("4000\n", "a/b/memory.high")
        #expect(ControlGroup.limit(root: groups.root.path, of: "0::/a/b\n") == 4000)
        #expect(ControlGroup.limit(root: groups.root.path, of: "0::/a\n") == 5000)
        #expect(ControlGroup.limit(root: groups.root.path, of: "0::/\n") == nil)
    }

    @Test func withoutLimitsThereIsNone() {
        #expect(ControlGroup.freeBytes(root: "/nonexistent", of: "0::/a\n") == nil)
        #expect(ControlGroup.freeBytes(root: "/nonexistent", of: "") == nil)
    }

    @Test func whatTheMachineHasIsAPositiveNumber() {
        #expect(MemoryBudget.available().bytes > 1 << 20)
    }
}
