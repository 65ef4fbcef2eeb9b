import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// Expected values: transformers' `ROPE_INIT_FUNCTIONS`, float32, heads of 128.
struct RopeTests {
    private static let indices = [0, 1, 20, 26, 30, 34, 38, 45, 63]

    @Test func llama3FrequenciesAreThoseOfTransformers() {
        let scaling = RopeScaling.llama3(factor: 8, low: 1, high: 4, original: 8192)
        expect(
            scaling.inverseFrequencies(theta: 500_000, headDim: 128),
            [
                1.0, 0.8146172165870667, 0.016560440883040428, 0.00483942124992609,
                0.0013718936825171113, 0.0001785077911335975, 5.165906986803748e-05,
                1.2297638932068367e-05, 3.068925877869333e-07,
            ], sum: 5.386058263449144)
    }

    @Test func yarnFrequenciesAndScaleAreThoseOfTransformers() {
        let scaling = RopeScaling.yarn(
            factor: 16, betaFast: 32, betaSlow: 1, original: 16384, truncate: true)
        expect(
            scaling.inverseFrequencies(theta: 1_000_000, headDim: 128),
            [
                1.0, 0.8058422207832336, 0.01333521492779255, 0.0024434446822851896,
                0.0006907022907398641, 0.00014802081568632275, 1.7115122318500653e-05,
                3.7768522815895267e-06, 7.75586102008674e-08,
            ], sum: 5.135129485865484)
        #expect(abs(RopeScaling.yarnScale(factor: 16) - 1.2772588722239782) < 1e-12)
    }

    /// float32 of the reference: a few roundings of 2^-24 each.
    private func expect(_ got: [Double], _ expected: [Double], sum: Double) {
        #expect(got.count == 64)
        for (index, value) in zip(Self.indices, expected) {
            #expect(abs(got[index] - value) <= 1e-6 * value, "frequency \(index)")
        }
        #expect(abs(got.reduce(0, +) - sum) <= 1e-6 * sum)
    }

    /// The tiny models of TransformerTests, as a folder and as a GGUF file.
    @Test(arguments: ["llama", "qwen2", "qwen3", "ministral3", "smollm"])
    func foldersAndGGUFFilesOfEveryFamilyAgree(name: String) throws {
        let models = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "TransformerTests/Resources")
        let folder = try openModel(at: models.appending(path: name).path)
        let gguf = try openModel(at: models.appending(path: name + ".gguf").path)
        let (a, b) = (folder.config, gguf.config)
        #expect(a.queryScaling == b.queryScaling)
        #expect(a.layers == b.layers && a.embeddingScale == b.embeddingScale)
        #expect(a.rotaryTables.count == b.rotaryTables.count)
        for (one, other) in zip(a.rotaryTables, b.rotaryTables) {
            #expect(abs(one.attentionFactor - other.attentionFactor) < 1e-6)
            #expect(one.inverseFrequencies.count == other.inverseFrequencies.count)
            #expect(one.longestContext == other.longestContext)
            for (one, other) in zip(one.inverseFrequencies, other.inverseFrequencies) {
                #expect(abs(one - other) <= 1e-6 * abs(one))
            }
        }
        #expect(folder.tensors.map(\.name) == gguf.tensors.map(\.name))
        for (one, other) in zip(folder.tensors, gguf.tensors) {
            #expect(try values(of: one, in: folder) == values(of: other, in: gguf), "\(one.name)")
        }
    }

    /// The error names the tensor and the file or folder, and says what is expected.
    @Test(arguments: [
        ("num_hidden_layers", "2", "'model.layers.1.input_layernorm.weight' is missing"),
        ("intermediate_size", "64", "model-00001-of-00002.safetensors: tensor 'model.layers.0.mlp"),
    ])
    func missingAndWrongTensorsAreNamed(name: String, value: String, mentions: String) throws {
        try withMiniFolder { folder in
            let path = folder.appending(path: "config.json")
            let text = try String(contentsOf: path, encoding: .utf8)
            try Data((text.dropLast() + #", "\#(name)": \#(value)}"#).utf8).write(to: path)
            let error = #expect(throws: ImportError.self) { try openModel(at: folder.path) }
            #expect(error?.description.contains(mentions) == true, "\(String(describing: error))")
        }
    }
}
