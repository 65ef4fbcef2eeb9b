import Foundation
import TesseraKernels
import Testing
import TesseraTransformer
import TesseraWeightFile

@testable import TesseraProfiling

/// Notes the names of steps.
private final class StepList: PassObserver {
    var batches: [Int] = []
    var steps: [(PassOperation, Int)] = []
    func passBegins(tokens: Int) { batches.append(tokens) }
    func finished(_ operation: PassOperation, layer: Int) { steps.append((operation, layer)) }
}

@Suite("Steps of a pass")
struct OperationTests {
    private func step(
        _ operation: PassOperation, _ layer: Int, _ start: UInt64, _ end: UInt64
    ) -> PassStep { PassStep(operation: operation, layer: layer, start: start, end: end) }

    @Test("A pass tells each step once, in order, layer by layer")
    func order() async throws {
        let file = try WeightFile(path: try await SyntheticFile.shared.path())
        let model = try transformer(file, ProfileOptions())
        let list = StepList()
        model.workspace.observer = list
        try model.forward(committed: [1, 2, 3], open: [4], logitRows: [3])
        #expect(list.batches == [4])
        var expected: [PassOperation] = [.prepare, .embed]
        let layer = PassOperation.allCases.filter { $0.isStep && $0.isPerLayer }
        for _ in 0..<file.config.layerCount { expected += layer }
        expected += [.finalNorm, .head]
        #expect(list.steps.map(\.0) == expected)
        #expect(list.steps.filter { $0.0 == .down }.map(\.1) == Array(0..<file.config.layerCount))
        list.steps = []
        try model.forward(committed: [1], logitRows: [])
        #expect(!list.steps.contains { $0.0 == .head || $0.0 == .finalNorm })
    }

    @Test("An observer changes no logits")
    func sameLogits() async throws {
        let file = try WeightFile(path: try await SyntheticFile.shared.path())
        let model = try transformer(file, ProfileOptions())
        try model.forward(committed: [5, 6], logitRows: [1])
        let plain = (0..<file.config.vocabularySize).map { model.logits[$0] }
        model.reset()
        model.workspace.observer = StepList()
        try model.forward(committed: [5, 6], logitRows: [1])
        #expect(plain == (0..<file.config.vocabularySize).map { model.logits[$0] })
    }

    @Test("Batches of one pass are added up, layers and passes kept apart")
    func sums() {
        var times = OperationTimes(layerCount: 2)
        times.append([
            step(.embed, 0, 0, 1_000), step(.down, 0, 1_000, 3_000), step(.down, 1, 3_000, 7_000),
            step(.down, 0, 9_000, 10_000),
        ])
        times.append([step(.down, 0, 0, 5_000), step(.down, 1, 5_000, 6_000)])
        #expect(times.passCount == 2 && times.operations == [.embed, .down])
        #expect(abs(times.median(.down, layer: 0) - 4e-6) < 1e-15)
        #expect(times.total(.down)?.count == 2)
        #expect(abs((times.total(.down)?.samples[0] ?? 0) - 7e-6) < 1e-15)
        #expect(abs((times.total(.down)?.samples[1] ?? 0) - 6e-6) < 1e-15)
        #expect(times.total(.head) == nil && times.median(.head, layer: 0) == 0)
    }

    @Test("Waiting and decoding leave the step they are in, and count for its layer")
    func partsOfSteps() {
        var times = OperationTimes(layerCount: 2)
        times.append([step(.down, 1, 0, 9_000)])
        var slow = step(.down, 1, 0, 9_000)
        (slow.waiting, slow.decoding) = (4_000, 3_000)
        times.append([slow])
        times.append([step(.down, 1, 0, 9_000)])
        #expect(times.operations == [.down, .input, .decompress])
        func samples(_ operation: PassOperation) -> [Double] {
            times.total(operation)?.samples.map { ($0 * 1e9).rounded() } ?? []
        }
        #expect(samples(.down) == [9_000, 2_000, 9_000])
        #expect(samples(.input) == [0, 4_000, 0] && samples(.decompress) == [0, 3_000, 0])
        #expect(times.median(.input, layer: 0) == 0)
        // What the output head waits for belongs to no layer.
        var head = step(.head, 0, 0, 9_000)
        head.waiting = 5_000
        times.append([head])
        #expect(samples(.input) == [0, 4_000, 0, 5_000])
        #expect((0..<2).allSatisfy { times.median(.input, layer: $0) < 4e-6 })
    }

    @Test("Sums of steps say what share each kind has, and what is left of the whole")
    func totals() async throws {
        let file = try WeightFile(path: try await SyntheticFile.shared.path())
        let model = try transformer(file, ProfileOptions())
        let totals = StepTotals(model.workspace)
        try model.forward(committed: [1, 2, 3], logitRows: [2])
        let parts = totals.parts(of: 100, rest: "rest")
        #expect(
            parts.map(\.name) == ["products", "attention", "norms and activation", "input", "rest"])
        #expect(abs(parts.reduce(0) { $0 + $1.seconds } - 100) < 1e-9)
        #expect(parts.allSatisfy { $0.seconds > 0 })
        #expect(totals.text(of: 100, rest: "rest").contains("rest 1:40 min (100.0%)"))
    }

    @Test("Work of the steps adds up to that of the pass")
    func work() async throws {
        let file = try WeightFile(path: try await SyntheticFile.shared.path())
        let model = ModelWork(file, kvEncoding: .int8)
        for (positions, rows, context) in [(1, 1, 0), (5, 5, 40), (300, 1, 7), (2, 0, 9)] {
            let whole = PassWork(
                model, positions: positions, logitRows: rows, context: context, batchCapacity: 128)
            let parts = PassOperation.allCases.compactMap {
                model.work(
                    of: $0, positions: positions, logitRows: rows, context: context,
                    batchCapacity: 128)
            }
            #expect(abs(parts.reduce(0) { $0 + $1.bytes } - whole.bytes) < 1)
            #expect(abs(parts.reduce(0) { $0 + $1.macs } / whole.macs - 1) < 1e-12)
        }
    }

    @Test("A recorded profile shows every step and layer")
    func recorded() async throws {
        var options = ProfileOptions()
        options.positions = [1, 2]
        options.repetitions = 2
        options.recordsOperations = true
        let path = try await SyntheticFile.shared.path()
        let report = try ModelProfile(
            path: path, options: options, kvEncoding: .int8, program: "test"
        ).run(
            open: { try transformer($0, options) }, progress: { _, _ in })
        for pass in report.passes {
            #expect(pass.operations.map(\.operation) == stepsAndSampling)
            #expect(abs(pass.operations.reduce(0) { $0 + $1.share } - 1) < 1e-9)
            #expect(pass.samples.operations?.passCount == 2)
            #expect((pass.samples.recordingShare ?? 0) > 0)
            let steps = pass.samples.steps.filter(\.operation.isStep)
            #expect(zip(steps, steps.dropFirst()).allSatisfy { $0.end == $1.start })
        }
        let text = report.text(layers: true)
        #expect(text.contains("gate, up") && text.contains("layers of passes over 2 positions"))
        let parsed = try JSONSerialization.jsonObject(with: Data(report.json.text.utf8))
        let passes = try #require((parsed as? [String: Any])?["passes"] as? [[String: Any]])
        let operations = try #require(passes[0]["operations"] as? [[String: Any]])
        #expect(operations.map { $0["name"] as? String } == stepsAndSampling.map { "\($0)" })
        let down = try #require(operations.first { $0["name"] as? String == "down" })
        #expect((down["layer_median_seconds"] as? [Double])?.count == pass0Layers(report))
    }

    /// The steps of a pass of plain weights in memory.
    private let stepsAndSampling = PassOperation.allCases.filter { $0.isStep || $0 == .sample }

    private func pass0Layers(_ report: ProfileReport) -> Int? {
        report.passes[0].samples.operations?.layerCount
    }

    @Test("A run of fixed duration measures every size, and stops when told to")
    func duration() async throws {
        var options = ProfileOptions()
        options.positions = [1, 2]
        options.duration = 0.05
        let file = try WeightFile(path: try await SyntheticFile.shared.path())
        let profiler = try PassProfiler(try transformer(file, options), options: options)
        let run = try profiler.run()
        #expect(run.passes.map(\.positions) == [1, 2])
        #expect(run.passes[0].seconds.count == run.passes[1].seconds.count)
        #expect(run.timeline.count >= 2)
        #expect(try profiler.run(isCancelled: { true }).passes.isEmpty)
    }
}

@Suite("Memory of a process")
struct MemoryTests {
    @Test("The resident set is split into the model, other files and what cannot be dropped")
    func split() {
        let rollup = "55-7f ---p 0 00:00 0 [rollup]\nRss: 100 kB\nPss: 60 kB\nAnonymous: 30 kB\n"
        let maps = """
            1000-2000 r--p 00000000 fe:00 77   /models/a.tsr
            Size: 999 kB
            Rss: 40 kB
            2000-3000 r-xp 00000000 fe:00 78   /bin/tessera
            Rss: 20 kB
            3000-4000 r--p 00010000 fe:00 77   /models/a.tsr
            Rss: 5 kB
            """
        let split = MemorySplit(rollup: rollup, maps: maps, inode: 77)
        #expect(split.resident == 100 << 10 && split.proportional == 60 << 10)
        #expect(split.anonymous == 30 << 10 && split.file == 70 << 10)
        #expect(split.model == 45 << 10)
    }

    @Test("This process has a resident set and a peak above it")
    func own() {
        let split = MemorySplit.now(modelPath: #filePath)
        #expect(split.resident > 0 && split.anonymous > 0 && split.model == 0)
        #expect(ProcessMemory.resident > 0 && ProcessMemory.peak > 0)
    }
}
