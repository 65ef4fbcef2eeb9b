import TesseraImport
import Testing
import TesseraWeightFile

@testable import TesseraQuantization

/// The choice between storage classes, and plans for a divergence.
@Suite struct PlannerTests {
    private let source: any TensorSource

    init() throws { source = try openModel(at: "synthetic:tiny-qwen3") }

    private func plan(
        _ target: EncodingPlan.Options.Target, _ storages: [StorageClass], pace: PassPace? = nil,
        calibration: Calibration? = nil
    ) async throws -> EncodingPlan {
        var options = EncodingPlan.Options()
        (options.target, options.storages) = (target, storages)
        (options.pace, options.calibration) = (pace, calibration)
        return try await RatePlanner(source, options: options, threads: 2)
            .plan(progress: { _, _ in }, isCancelled: { false })
    }

    /// Importance as a text might show it: all matrices alike.
    private var calibration: Calibration {
        var calibration = Calibration(key: "test")
        for tensor in source.tensors where tensor.rows > 1 {
            calibration.importance[tensor.name] = 0.5
        }
        return calibration
    }

    /// The cost of all errors together is interpolated between measured sums, and a wish finds its sum.
    @Test func largeErrorsCostLessThanTheirSum() async throws {
        var calibration = calibration
        #expect(calibration.divergence(of: 0.3) == 0.3 && calibration.sum(of: 0.3) == 0.3)
        calibration.together = [(0.01, 0.009), (0.1, 0.08), (1, 0.4)]
        for (sum, divergence) in [(0.001, 0.0009), (0.01, 0.009), (0.1, 0.08), (1, 0.4), (10, 4)] {
            #expect(abs(calibration.divergence(of: sum) / divergence - 1) < 1e-9)
            #expect(abs(calibration.sum(of: divergence) / sum - 1) < 1e-6)
        }
        let between = calibration.divergence(of: 0.3)
        #expect(between > 0.3 * 0.4 && between < 0.3 * 0.8)
        let plan = try await plan(.divergence(0.2), [.zstd], calibration: calibration)
        let chosen = try #require(plan.alternatives.first { $0.isChosen })
        #expect(abs((chosen.divergence ?? 0) / 0.2 - 1) < 0.1)
    }

    private func draft(
        _ storage: StorageClass, loss: Double, tokens: Double?
    ) throws -> RatePlanner.Draft {
        RatePlanner.Draft(
            storage: storage, target: nil,
            plan: EncodingPlan(entries: [], options: EncodingPlan.Options()), loss: loss,
            summary: EncodingPlan.Alternative(
                storage: storage, fileBytes: 1, bitsPerWeight: 4, divergence: nil,
                tokensPerSecond: tokens))
    }

    /// For a size, the fastest plan whose loss is at most a fifth above the least; for a divergence, the fastest plan.
    @Test func theFastestOfTheGoodOnesIsChosen() throws {
        let drafts = [
            try draft(.plain, loss: 0.5, tokens: 300), try draft(.zstd, loss: 0.1, tokens: 20),
            try draft(.trellis, loss: 0.12, tokens: 100),
        ]
        #expect(RatePlanner.best(drafts, for: .bitsPerWeight(4))?.storage == .trellis)
        #expect(RatePlanner.best(drafts, for: .divergence(0.5))?.storage == .plain)
        var worse = drafts
        worse[2].loss = 0.121
        #expect(RatePlanner.best(worse, for: .fileBytes(1))?.storage == .zstd)
        let unknown = try [StorageClass.plain, .zstd].map { try draft($0, loss: 0.1, tokens: nil) }
        #expect(RatePlanner.best(unknown, for: .bitsPerWeight(4))?.storage == .plain)
        #expect(RatePlanner.best([], for: .bitsPerWeight(4)) == nil)
    }

    @Test func whatAClassCannotReachIsLeftToTheOthers() async throws {
        let plan = try await plan(.bitsPerWeight(2.5), [.plain, .zstd, .trellis])
        #expect(plan.storage != .plain)
        let made = plan.alternatives.filter { abs($0.bitsPerWeight - 2.5) < 0.2 }
        #expect(made.map(\.storage) == [.zstd, .trellis])
        #expect(plan.alternatives.filter(\.isChosen).map(\.storage) == [plan.storage])
        #expect(plan.alternatives.allSatisfy { $0.divergence == nil && $0.tokensPerSecond == nil })
        await #expect(throws: QuantizationError.self) {
            _ = try await self.plan(.bitsPerWeight(2.5), [.plain])
        }
    }

    @Test(arguments: [StorageClass.plain, .zstd], [0.02, 0.3])
    func aDivergenceIsKept(storage: StorageClass, most: Double) async throws {
        let plan = try await plan(.divergence(most), [storage], calibration: calibration)
        let chosen = try #require(plan.alternatives.first { $0.isChosen })
        let divergence = try #require(chosen.divergence)
        #expect(divergence <= most && divergence > most / 4)
        // Twice as much is not larger, half as much not smaller.
        let near = plan.alternatives.filter { !$0.isChosen }
        #expect(near[0].fileBytes <= chosen.fileBytes && near[1].fileBytes >= chosen.fileBytes)
        await #expect(throws: QuantizationError.self) {
            _ = try await self.plan(
                .divergence(1e-12), [storage], calibration: self.calibration)
        }
    }

    @Test func tokensTakeTheTimeOfReadingOrDecoding() throws {
        let pace = PassPace(bytesPerSecond: 1e9, weightsPerSecond: [.zstd: 1e6])
        let tensor = SourceTensor(name: "a.weight", rows: 1000, columns: 1000, type: .f32)
        let embedding = SourceTensor(
            name: "model.embed_tokens.weight", rows: 1000, columns: 1000, type: .f32)
        func entry(_ tensor: SourceTensor, _ storage: StorageClass) -> EncodingPlan.Entry {
            EncodingPlan.Entry(
                tensor: tensor, encoding: .int8, exact: false, byteCount: 500_000, storage: storage)
        }
        #expect(pace.tokensPerSecond([entry(tensor, .plain)], tiedHead: false) == 2000)
        #expect(pace.tokensPerSecond([entry(tensor, .zstd)], tiedHead: false) == 1)
        let both = [entry(tensor, .plain), entry(embedding, .plain)]
        #expect(pace.tokensPerSecond(both, tiedHead: false) == 2000)
        #expect(pace.tokensPerSecond(both, tiedHead: true) == 1000)
    }

    @Test func thePaceIsMeasured() throws {
        let pace = try PassPace([.plain, .zstd, .trellis], threads: 2)
        #expect(pace.bytesPerSecond > 1e7)
        #expect(Set(pace.weightsPerSecond.keys) == [.zstd, .trellis])
        #expect(pace.weightsPerSecond.values.allSatisfy { $0 > 1e5 && $0 < 1e13 })
    }
}
