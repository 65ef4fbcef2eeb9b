import Foundation
import TesseraKernels
import TesseraProfiling
import TesseraReporting
import TesseraTestSupport
import Testing
import TesseraTransformer
import TesseraWeightFile

@Suite("Profile of a model", .timeLimit(.minutes(30)))
struct PassProfilerTests {
    private func options(_ change: (inout ProfileOptions) -> Void) -> ProfileOptions {
        var options = ProfileOptions()
        options.repetitions = 2
        change(&options)
        return options
    }

    private func report(_ options: ProfileOptions) async throws -> ProfileReport {
        let path = try await SyntheticFile.shared.path()
        return try ModelProfile(path: path, options: options, kvEncoding: .int8, program: "test")
            .run(
                open: { try transformer($0, options) }, progress: { _, _ in })
    }

    @Test(
        "Every size is measured at every context, as often as asked",
        arguments: ProfileOptions.Kind.allCases)
    func sizes(_ kind: ProfileOptions.Kind) async throws {
        let options = options {
            $0.positions = [1, 3]
            $0.contexts = [20, 0]
            $0.kind = kind
            $0.logits = .all
        }
        let report = try await report(options)
        #expect(report.passes.map(\.samples.context) == [0, 0, 20, 20])
        #expect(report.passes.map(\.samples.positions) == [1, 3, 1, 3])
        #expect(report.passes.allSatisfy { $0.samples.seconds.count == 2 })
        #expect(report.passes.map(\.logitRows) == [1, 3, 1, 3])
        #expect(report.relativeToOne(report.passes[0]) == 1)
        #expect(report.setup.firstTokenSeconds > report.setup.loadSeconds)
    }

    @Test(
        "Passes over several texts, with drafts to verify",
        arguments: [nil, ProfileOptions.Draft.lookup])
    func texts(_ draft: ProfileOptions.Draft?) async throws {
        let options = options {
            ($0.sequences, $0.draft) = (3, draft)
            $0.positions = [1, 4]
            $0.contexts = [12]
            $0.recordsOperations = true
        }
        let report = try await report(options)
        #expect(report.passes.map(\.samples.positions) == [3, 12])
        #expect(report.passes.map(\.samples.positionsOfEach) == [1, 4])
        #expect(report.passes.map(\.logitRows) == (draft == nil ? [3, 3] : [3, 12]))
        #expect(report.relativeToOne(report.passes[0]) == 1)
        #expect(report.passes[1].samples.title == "3 x 4 positions at context 12")
        // Weights are read once, caches by text.
        let model = report.model.work
        let work = report.passes[1].work
        #expect(
            work.bytes
                == Double(model.layerBytes + model.headBytes + 3 * 12 * model.cacheBytesPerPosition)
        )
        let attended = try #require(report.passes[1].operationWork[.attend])
        #expect(attended.macs == 12 * (12 + 2.5) * model.macsPerSeenPosition)
        #expect(report.text().contains("3 texts in each"))
        #expect(report.text().contains("3 x 4"))
        #expect(report.html.contains("3 texts in each"))
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(report.json.text.utf8)) as? [String: Any])
        #expect(object["sequences"] as? Int == 3)
        #expect(object["draft"] as? String == draft?.rawValue)
        let passes = try #require(object["passes"] as? [[String: Any]])
        #expect(passes.map { $0["positions_per_sequence"] as? Int } == [1, 4])
        let trace = try #require(
            try JSONSerialization.jsonObject(with: Data(report.trace.text.utf8)) as? [String: Any])
        let events = try #require(trace["traceEvents"] as? [[String: Any]])
        let last = try #require(events.last { $0["cat"] as? String == "pass" })
        let segments = try #require(
            (last["args"] as? [String: Any])?["segments"] as? [[String: Any]])
        #expect(segments.map { $0["sequence"] as? Int } == [0, 1, 2])
        #expect(segments.allSatisfy { $0["positions"] as? Int == 4 })
        #expect(segments.allSatisfy { $0["drafted"] as? Int == (draft == nil ? 0 : 3) })
        #expect(segments.allSatisfy { $0["draft"] as? String == draft?.rawValue })
    }

    @Test("Masks that make the next draft are open positions")
    func masks() throws {
        var options = options { ($0.draft, $0.positions) = (.masks, [1, 6]) }
        #expect(options.logitRows(positions: 6) == 5)
        options.sequences = 2
        let path = Models.standard
        let report = try ModelProfile(
            path: path, options: options, kvEncoding: .int8, program: "test"
        ).run(open: { try transformer($0, options) }, progress: { _, _ in })
        #expect(report.passes.map(\.samples.positions) == [2, 12])
        #expect(report.passes.map(\.logitRows) == [2, 10])
    }

    @Test("Passes longer than a batch, without logits")
    func long() async throws {
        let report = try await report(
            options {
                $0.positions = [200]
                $0.logits = .none
                $0.warmUp = 0
            })
        #expect(report.passes.count == 1)
        #expect(report.passes[0].work.bytes == 2 * Double(report.model.work.layerBytes))
        #expect(report.relativeToOne(report.passes[0]) == nil)
    }

    @Test("JSON holds what was measured under the promised names")
    func json() async throws {
        let report = try await report(options { $0.positions = [1, 4] })
        let parsed = try JSONSerialization.jsonObject(with: Data(report.json.text.utf8))
        let object = try #require(parsed as? [String: Any])
        #expect(object["first_token_disk_read_bytes"] as? Int == report.setup.firstTokenDiskBytes)
        let limits = try #require(object["limits"] as? [String: Any])
        #expect((limits["read_bytes_per_second"] as? Double ?? 0) > 0)
        #expect((limits["int8_macs_per_second"] as? Double ?? 0) > 0)
        let passes = try #require(object["passes"] as? [[String: Any]])
        #expect(passes.map { $0["positions"] as? Int } == [1, 4])
        #expect(passes.map { $0["n_prompt"] as? Int } == [1, 4])
        for (pass, measured) in zip(passes, report.passes) {
            let median = try #require(pass["median_seconds"] as? Double)
            #expect(abs(median / measured.samples.seconds.median - 1) < 1e-9)
            #expect((pass["samples_ns"] as? [Int])?.count == 2)
            let rate = try #require(pass["tokens_per_second"] as? Double)
            #expect(
                abs(rate * measured.samples.seconds.median / Double(measured.samples.positions) - 1)
                    < 1e-9)
        }
    }

    @Test("The table has a line for every pass")
    func table() async throws {
        let report = try await report(options { $0.positions = [1, 2] })
        let lines = report.text().split(separator: "\n")
        #expect(lines.filter { $0.hasPrefix("      0") }.count == 2)
        #expect(lines.allSatisfy { !$0.contains("nan") })
    }

    @Test("Work counted from the file is that of its shapes")
    func work() async throws {
        let file = try WeightFile(path: try await SyntheticFile.shared.path())
        let config = file.config
        let work = ModelWork(file, kvEncoding: .int8)
        let attention =
            config.hiddenSize * config.headDim * 2 * (config.headCount + config.kvHeadCount)
        let mlp = 3 * config.hiddenSize * config.intermediateSize
        #expect(work.layerWeights == config.layerCount * (attention + mlp))
        #expect(work.headWeights == config.vocabularySize * config.hiddenSize)
        #expect(
            work.cacheBytesPerPosition == config.layerCount * config.kvHeadCount * 2
                * (config.headDim + 4))
        let model = try transformer(file, ProfileOptions())
        #expect(work.layerBytes + work.headBytes == model.model.weightBytes)
    }

    @Test("What cannot be measured is refused")
    func refusals() async throws {
        let file = try WeightFile(path: try await SyntheticFile.shared.path())
        let model = try transformer(file, ProfileOptions())
        #expect(throws: ProfilingError.badPasses([0])) {
            try PassProfiler(model, options: options { $0.positions = [0] })
        }
        #expect(throws: ProfilingError.badContexts([])) {
            try PassProfiler(model, options: options { $0.contexts = [] })
        }
        #expect(throws: ProfilingError.openTooLarge(500, capacity: 128)) {
            try PassProfiler(
                model,
                options: options {
                    $0.positions = [500]; $0.kind = .open
                })
        }
        #expect(throws: ProfilingError.self) {
            try PassProfiler(model, options: options { $0.contexts = [4000] })
        }
        #expect(throws: ProfilingError.badSequences(65)) {
            try PassProfiler(model, options: options { $0.sequences = 65 })
        }
    }
}
