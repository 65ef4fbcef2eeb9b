import Foundation
import Testing
import TesseraTransformer
import TesseraWeightFile

/// Passes and the logits that Hugging Face transformers gives for them.
struct Golden: Decodable {
    struct Scenario: Decodable {
        var name: String
        var context: Int
        var sinks: Int
        var batch: Int
        var steps: [Step]
    }

    struct Step: Decodable {
        var committed: [Int32]
        var open: [Int32]
        var rows: [Int]
        var blockSize: Int
    }

    var scenarios: [Scenario]

    static func load(_ model: TinyModel) throws -> (Golden, logits: [Float]) {
        let base = TinyModel.resources.appending(path: model.rawValue)
        let json = try Data(contentsOf: base.appendingPathExtension("golden.json"))
        let data = try Data(contentsOf: base.appendingPathExtension("golden.f32"))
        let logits = stride(from: 0, to: data.count, by: 4).map { at in
            let bits = data.withUnsafeBytes {
                $0.loadUnaligned(fromByteOffset: at, as: UInt32.self)
            }
            return Float(bitPattern: UInt32(littleEndian: bits))
        }
        return (try JSONDecoder().decode(Golden.self, from: json), logits)
    }

    /// Runs every scenario; returns reference and computed rows by scenario.
    static func run(
        _ model: TinyModel, _ make: (Scenario) throws -> TokenSequence
    ) throws -> [(name: String, reference: [[Float]], computed: [[Float]])] {
        let (golden, logits) = try load(model)
        var rest = logits[...]
        var results: [(name: String, reference: [[Float]], computed: [[Float]])] = []
        for scenario in golden.scenarios {
            let transformer = try make(scenario)
            let vocabulary = transformer.config.vocabularySize
            var (reference, computed): ([[Float]], [[Float]]) = ([], [])
            for step in scenario.steps {
                computed += try transformer.logits(
                    committed: step.committed, open: step.open, rows: step.rows,
                    blockSize: step.blockSize)
                for _ in step.rows {
                    reference.append(Array(rest.prefix(vocabulary)))
                    rest = rest.dropFirst(vocabulary)
                }
            }
            results.append((scenario.name, reference, computed))
        }
        #expect(rest.isEmpty)
        return results
    }
}

@Suite struct GoldenLogitsTests {
    @Test(
        "Logits in floats equal Hugging Face's, from a folder and from GGUF",
        arguments: TinyModel.allCases, TinyModel.Source.allCases)
    func floatLogits(_ model: TinyModel, _ source: TinyModel.Source) async throws {
        let file = try await model.open(source)
        let results = try Golden.run(model) {
            try .reference(file, context: $0.context, sinks: $0.sinks, batch: $0.batch)
        }
        for (name, reference, computed) in results {
            let error = largestError(reference, computed)
            #expect(error <= 1e-4, "\(name): \(error)")
        }
    }

    @Test("Logits with 8-bit weights and cache stay close", arguments: TinyModel.allCases)
    func integerLogits(_ model: TinyModel) async throws {
        let file = try await model.open(bits: .eight)
        let results = try Golden.run(model) {
            try .reference(
                file, context: $0.context, sinks: $0.sinks, batch: $0.batch, cache: .int8)
        }
        let reference = results.flatMap(\.reference)
        let divergence = Divergence(reference, results.flatMap(\.computed))
        // Random weights make flat, chaotic logits: these bounds are looser than a trained model's.
        #expect(divergence.mean <= 0.01, "KL \(divergence.mean)")
        #expect(divergence.agreement >= 0.85, "top-1 \(divergence.agreement)")
    }
}
