import Foundation
import Testing

@testable import TesseraResidency

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

    /// Tiles at the end of a matrix may be small: a share of the tiles is more than one of the bytes.
    @Test func shortLastTilesDoNotMakeAPlanPassItsBudget() throws {
        let items = (0..<200).map {
            ResidencyPlan.Item(name: "\($0)", tiles: [64_000, 64_000, 64_000, 2_000])
        }
        for budget in stride(from: 10 << 20, to: 50 << 20, by: 1 << 20) {
            let plan = try ResidencyPlan(
                items: items, mappedBytes: 0, needs: needs,
                budget: MemoryBudget(bytes: budget, source: .option))
            #expect(plan.totalBytes <= budget)
        }
    }

    @Test func weightsThatFitAreAsManyAsAPlanKeeps() throws {
        for free in [1_000_000, 100_000_000, 5_000_000_000] {
            let bytes = ResidencyPlan.residentWeights(in: free)
            #expect(bytes <= free && bytes > free * 9 / 10)
            let tiles = Array(repeating: 1000, count: bytes / 1000)
            let plan = try ResidencyPlan(
                items: [ResidencyPlan.Item(name: "all", tiles: tiles)], mappedBytes: 0,
                needs: needs,
                budget: MemoryBudget(bytes: needs.total + free, source: .option))
            #expect(plan.isResident)
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
            #expect(budget.bytes == 3 << 20 && needed > 8 << 20)
        }
    }

    @Test func refusalsSpeakInTheUnitThatWasAsked() {
        func text(_ bytes: Int, _ units: ByteUnits, _ source: MemoryBudget.Source) -> String {
            let budget = MemoryBudget(bytes: bytes, source: source, units: units)
            return ResidencyError.tooLittle(budget, needed: 84_300_001).description
        }
        #expect(text(60 << 20, .binary, .option).hasPrefix("--ram 60M is not enough: "))
        #expect(text(60 << 20, .binary, .option).contains("give --ram 80.4M or more"))
        #expect(text(60_000_000, .decimal, .option).hasPrefix("--ram 60MB is not enough: "))
        #expect(text(60_000_000, .decimal, .option).contains("give --ram 84.4MB or more"))
        #expect(text(3, .binary, .option).hasPrefix("--ram 3 bytes is not enough: "))
        #expect(text(3, .binary, .option).contains("a size without a unit is in bytes"))
        #expect(text(60 << 20, .binary, .controlGroup).contains("control groups leave 60M"))
        #expect(!text(60 << 20, .binary, .machine).contains("--ram"))
    }

    @Test func whatIsAskedForIsEnough() {
        #expect(ByteUnits.binary.text(1 << 20) == "1M")
        #expect(ByteUnits.binary.text((1 << 30) + 1, isLeast: true) == "1.01G")
        #expect(ByteUnits.binary.text(5 << 29) == "2.5G")
        #expect(ByteUnits.decimal.text(1_050_000) == "1.05MB")
        #expect(ByteUnits.decimal.text(123_456_789_000) == "123GB")
        #expect(ByteUnits.binary.text(1023) == "1023 bytes")
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

    @Test func nothingThatFitsIsStreamedForTheSakeOfDecoding() throws {
        var coded = items(20)
        for index in coded.indices { coded[index].plainTileBytes = 120_000 }
        let all = coded.reduce(0) { $0 + $1.bytes }
        for budget in stride(from: all + (8 << 20), to: 3 * all, by: 3 << 20) {
            let plan = try ResidencyPlan(
                items: coded, mappedBytes: 0, needs: needs,
                budget: MemoryBudget(bytes: budget, source: .option))
            #expect(plan.isResident)
            let ahead = plan.decodingAhead(readRate: nil, decodeRate: 1)
            #expect(ahead.isResident && ahead.decodesAhead && ahead.totalBytes <= budget)
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
