import Foundation
import TesseraTestSupport
import Testing

/// How far files of a trained model are from it: bars that a worse plan, encoder or calibration would miss.
@Suite(.timeLimit(.minutes(30))) struct QualityTests {
    /// 1.8 million weights in floats, trained on word problems.
    private static let model = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "Tools/train/tessera-word-problems").path

    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private static let problems = [
        ("Maria", 66, "cookies", 8), ("Tom", 12, "marbles", 35), ("Lena", 91, "stamps", 17),
        ("Ben", 7, "apples", 48), ("Ada", 53, "books", 29), ("Omar", 20, "coins", 64),
    ]

    /// Mean KL in nats over some hundred positions.
    private func divergences(_ ways: [[String]]) throws -> [Double] {
        let text = Self.problems.map { name, count, things, more in
            "\(name) has \(count) \(things). \(name) buys \(more) more. "
                + "How many \(things) does \(name) have now? \(count) + \(more) = \(count + more)\n"
        }.joined()
        let (path, file) = (try folder.write(text, to: "text"), folder.file("x.tsr"))
        let logits = folder.file("logits")
        func make(_ options: [String]) throws {
            let command = ["quantize", Self.model, "-o", file, "--force"] + options
            let run = try Program.run(command)
            #expect(run.status == 0, "\(run.errors)")
        }
        try make(["--bits", "32"])
        let exact = ["perplexity", file, path, "--kv", "f32", "--write-reference", logits]
        #expect(try Program.run(exact).status == 0)
        return try ways.map {
            try make($0)
            let run = try Program.run(["perplexity", file, "--reference", logits, "--json"])
            return try #require(run.objects().first?["mean_kl"] as? Double)
        }
    }

    @Test func filesAreNearTheirModel() throws {
        let found = try divergences([
            ["--bits", "8"], ["--bits", "4"], ["--bits", "4", "--calibrate", "off"],
        ])
        let bars = [0.04, 0.1, 0.2]
        for (divergence, bar) in zip(found, bars) { #expect(divergence < bar, "\(found)") }
        #expect(found == found.sorted(), "bits and calibration help: \(found)")
    }
}
