import TesseraDecoding
import Foundation
import TesseraImport
import TesseraKernels
import TesseraQuantization
import TesseraTokenization
import TesseraTransformer
import TesseraWeightFile

/// Random models in the form of published block-diffusion checkpoints, made by
/// Tools/oracle/make_checkpoints.py together with what they must compute.
enum PublishedCheckpoint: String, CaseIterable {
    case nemotron
    case fastDLLM = "fast-dllm-v2"
    case sdar
    case stableDiffCoder = "stable-diffcoder"

    private static let resources = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Resources")

    /// Converts the folder as `tessera quantize` does. The file on disk is gone when this returns.
    func convert(_ bits: EncodingPlan.Options.Bits) async throws -> WeightFile {
        let model = try openModel(at: Self.resources.appending(path: rawValue).path)
        var options = EncodingPlan.Options()
        options.bits = bits
        let plan = try EncodingPlan(
            for: model.tensors, tiedHead: model.config.tieWordEmbeddings, options: options)
        let path = FileManager.default.temporaryDirectory
            .appending(path: "tessera-\(UUID().uuidString).tsr").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        _ = try await Quantizer(model, plan: plan, threads: 1).write(
            to: path, progress: { _, _ in }, isCancelled: { false })
        return try WeightFile(path: path)
    }

    func golden() throws -> Golden {
        let json = try Data(
            contentsOf: Self.resources.appending(path: rawValue + ".golden.json"))
        return try JSONDecoder().decode(Golden.self, from: json)
    }

    /// Logits of all passes' rows, one after the other.
    func goldenLogits() throws -> [Float] {
        let data = try Data(contentsOf: Self.resources.appending(path: rawValue + ".golden.f32"))
        return stride(from: 0, to: data.count, by: 4).map { at in
            let bits = data.withUnsafeBytes {
                $0.loadUnaligned(fromByteOffset: at, as: UInt32.self)
            }
            return Float(bitPattern: UInt32(littleEndian: bits))
        }
    }

    /// What block_reference.py computes, in float64.
    struct Golden: Decodable {
        /// Passes over one cache.
        var scenarios: [[Step]]
        var subBlock: Int?
        var texts: [Text]
        var nextTokens: NextTokens
        var decodings: [Blocks]

        struct Step: Decodable {
            var committed: [Int32]
            var open: [Int32]
            var rows: [Int]
            var blockSize: Int
        }

        struct Text: Decodable {
            var text: String
            var ids: [Int32]
        }

        struct NextTokens: Decodable {
            var prompt: [Int32]
            var tokens: [Int32]
        }

        struct Blocks: Decodable {
            var prompt: [Int32]
            var limit: Int
            /// Gamma of the EB sampler; nil for the checkpoint's own threshold.
            var gamma: Float?
            /// `[block][pass][reveal]`: position and token.
            var blocks: [[[[Int32]]]]
        }
    }
}

/// How the model of a weight file is decoded in these tests: greedily, by its own traits.
struct PublishedDecoding {
    let file: WeightFile

    /// Computes in floats wherever the file allows it.
    func transformer(cache: KVLayer.Encoding = .f32) throws -> TokenSequence {
        var options = Model.Options()
        options.threads = 1
        options.kvEncoding = cache
        return try TokenSequence(file, options: options)
    }

    func state(_ prompt: [Int32], cache: KVLayer.Encoding = .f32) throws -> DecodingState {
        let transformer = try transformer(cache: cache)
        let mask = file.config.blockDecoding.map { Int32($0.maskToken) }
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: file.config.vocabularySize,
            forbidden: mask.map { [$0] } ?? [], compute: transformer.compute)
        let state = DecodingState(transformer, sampler: sampler, stopTokens: [], traced: true)
        try state.append(prompt)
        return state
    }

    /// Fills blocks of the model's own size, by its own threshold or by the EB sampler.
    func blocks(
        _ prompt: [Int32], gamma: Float?, limit: Int, cache: KVLayer.Encoding = .f32
    ) throws -> (tokens: [Int32], state: DecodingState) {
        let state = try state(prompt, cache: cache)
        let traits = file.config.blockDecoding ?? .init(maskToken: 0, blockSize: 1)
        let rule =
            gamma.map { RevealRule.entropyBound(gamma: $0, .entropy) }
            ?? .confidence(threshold: traits.confidenceThreshold)
        let size = traits.blockSize
        let decoder = try SetBlockDecoder(
            state, rule: rule, Planner(largest: size, isFixed: true))
        return (try run(decoder, limit: limit), state)
    }

    func run(_ decoder: any TokenDecoder, limit: Int) throws -> [Int32] {
        var tokens: [FixedToken] = []
        while tokens.count < limit {
            try decoder.step(limit: limit - tokens.count, into: &tokens)
        }
        decoder.finish()
        return tokens.ids
    }
}
