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

@Suite struct BudgetTests {
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

    @Test func whatTheMachineHasIsAPositiveNumber() {
        #expect(MemoryBudget.available().bytes > 1 << 20)
    }
}
