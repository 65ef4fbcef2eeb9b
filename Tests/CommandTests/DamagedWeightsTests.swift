import Foundation
import TesseraTestSupport
import Testing
import TesseraWeightFile

/// A model whose weights were damaged, as a flipped bit in a scale does it: no text, no figures, one line.
@Suite struct DamagedWeightsTests {
    /// The default model with an infinite scale in `tensor`.
    private func model(_ tensor: String, in folder: TemporaryFolder) throws -> String {
        let file = try WeightFile(path: Models.standard)
        let record = try #require(file.tensor(tensor))
        var bytes = try Data(contentsOf: URL(fileURLWithPath: Models.standard))
        // A panel begins with half-precision scales: group 0 of row 5.
        bytes[record.offset + 10] = 0x00
        bytes[record.offset + 11] = 0x7C
        return try folder.write(bytes, to: "damaged.tsr")
    }

    static let commands = [
        ["generate", "MODEL", "--raw", "-p", "What is 7 * 8?", "-n", "3", "--block-size", "1"],
        ["generate", "MODEL", "--raw", "-p", "What is 7 * 8?", "-n", "3", "--temp", "0.8"],
        ["generate", "MODEL", "--raw", "-p", "What", "-n", "3", "--gamma", "0.1", "--json"],
        ["perplexity", "MODEL", Models.path("README.md"), "-n", "20"],
        ["profile", "MODEL", "--passes", "1", "--repetitions", "1", "--operations"],
    ]

    @Test(
        arguments: commands,
        ["model.embed_tokens.weight", "model.layers.1.self_attn.k_proj.weight"])
    func endsEveryCommandWithAdvice(command: [String], tensor: String) throws {
        let folder = try TemporaryFolder()
        let path = try model(tensor, in: folder)
        let run = try Program.run(command.map { $0 == "MODEL" ? path : $0 })
        #expect(run.status == 65, "\(run.errors)")
        #expect(run.output.isEmpty)
        let line = run.errors.split(separator: "\n").last ?? ""
        #expect(line.contains("not finite") && line.contains("tessera verify"), "\(run.errors)")
    }
}
