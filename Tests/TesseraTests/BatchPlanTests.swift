import TesseraResidency
import TesseraTestSupport
import Testing
import TesseraTransformer
import TesseraWeightFile

@testable import Tessera

/// How many texts share passes, and which models draft for others.
@Suite struct BatchPlanTests {
    private let file: WeightFile

    init() throws { file = try WeightFile(path: Models.standard) }

    private func plan(
        _ needs: [Int], asked: Int? = nil, memory: Int? = nil
    ) throws -> BatchPlan {
        try BatchPlan(file, needs: needs, asked: asked, Drafting()) { base, needed in
            var options = base
            options.memory = memory.map { MemoryBudget(bytes: $0, source: .option) }
            options.contextLength = min(max(32, needed), file.config.maxPositions)
            return options
        }
    }

    private func bytes(_ plan: BatchPlan) throws -> Int {
        try TesseraTransformer.Model.plan(file, options: plan.options).totalBytes
    }

    @Test func manyTextsTakeSixteenPlacesFewTextsAsManyAsTheyAre() throws {
        let needs = Array(repeating: 100, count: 40)
        #expect(try plan(needs).places == 16)
        #expect(try plan(Array(needs.prefix(3))).places == 3)
        #expect(try plan(needs, asked: 7).places == 7)
        #expect(try plan(Array(needs.prefix(3)), asked: 7).places == 3)
        #expect(try plan([]).places == 1)
    }

    @Test func theLongestTextsAreCountedInTheMemory() throws {
        let plan = try plan([60, 300, 100, 180], asked: 3)
        #expect(plan.options.contextLength == 300)
        #expect(plan.options.furtherContexts == [192, 128])
        #expect(!plan.options.slides)
    }

    @Test func memoryBoundsTextsAtATimeSoThatWeightsStay() throws {
        let needs = Array(repeating: 300, count: 16)
        let (one, all) = (try bytes(plan(needs, asked: 1)), try bytes(plan(needs, asked: 16)))
        let middle = try plan(needs, memory: (one + all) / 2)
        #expect((6...10).contains(middle.places), "\(middle.places)")
        #expect(try bytes(middle) <= (one + all) / 2)
        #expect(try plan(needs, memory: one + (all - one) / 32).places == 1)
    }

    @Test func openTokensAreThoseOfMasks() throws {
        let traits = try #require(file.config.blockDecoding)
        #expect(Drafting().engineOptions(traits).openCapacity == traits.blockSize)
        #expect(Drafting().engineOptions(nil).openCapacity == 0)
        var off = Drafting()
        off.source = .off
        #expect(off.engineOptions(traits).openCapacity == 0)
        #expect(off.engineOptions(traits, texts: 5).logitCapacity == 5)
        #expect(Drafting().engineOptions(nil, texts: 16).logitCapacity == 64)
    }
}
