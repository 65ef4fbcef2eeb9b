import Foundation
import TesseraTestSupport
import Testing
import TesseraWeightFile

struct RoundTripTests {
    @Test(arguments: TensorEncoding.allCases, [1, 7, 4096, 1 << 20])
    func whatIsWrittenIsRead(encoding: TensorEncoding, chunk: Int) throws {
        let folder = try TemporaryFolder()
        let path = folder.file("model.tsr")
        let model = TinyModel(encoding: encoding)
        try model.write(to: path, chunk: chunk)
        let file = try WeightFile(path: path)
        #expect(file.config == model.config)
        #expect(file.tokenizer == model.tokenizer)
        #expect(file.chatTemplate == model.chatTemplate)
        #expect(file.source == model.source)
        #expect(file.tensors.map(\.name) == model.tensors.map(\.name))
        for spec in model.tensors {
            let record = try #require(file.tensor(spec.name))
            #expect(record.offset % (record.byteCount < 16_384 ? 64 : 16_384) == 0)
            let bytes = file.bytes(of: record)
            let expected = model.bytes(of: spec)
            #expect(bytes.byteCount == expected.count)
            let same = expected.indices.allSatisfy {
                bytes.unsafeLoad(fromByteOffset: $0, as: UInt8.self) == expected[$0]
            }
            #expect(same, "\(spec.name)")
        }
        try file.verify()
    }

    @Test func everyFieldOfTheConfigurationSurvives() throws {
        var model = TinyModel()
        model.config.rmsNormEps = 1e-6
        model.config.embeddingScale = 1.25
        model.config.setEveryLayerField()
        model.config.queryScaling = .init(beta: 0.1, originalMaxPositions: 16)
        model.config.tieWordEmbeddings = false
        model.config.blockDecoding = .init(
            maskToken: 5, blockSize: 32, subBlockSize: 8, shiftedLogits: true,
            bidirectionalCommit: true, confidenceThreshold: 0.9)
        model.config.sampling.temperature = 0.7
        model.config.sampling.topK = 20
        model.config.sampling.topP = 0.8
        model.tokenizer.preTokenizer = .regex
        model.tokenizer.pattern = "\\p{L}+|ß"
        model.tokenizer.ignoreMerges = true
        model.tokenizer.normalizesNFC = true
        model.tokenizer.addsBOS = true
        model.tokenizer.padToken = 3
        model.tokenizer.unknownToken = 0
        model.tokenizer.eosTokens = [4, 3]
        model.chatTemplate = nil
        model.setTensors(encoding: .int8)
        let folder = try TemporaryFolder()
        try model.write(to: folder.file("model.tsr"))
        let file = try WeightFile(path: folder.file("model.tsr"))
        #expect(file.config == model.config)
        #expect(file.tokenizer == model.tokenizer)
        #expect(file.chatTemplate == nil)
    }

    @Test func theSizeIsKnownBeforehand() throws {
        let model = TinyModel()
        let planned = WeightFileWriter.plannedBytes(
            config: model.config, tokenizer: model.tokenizer, chatTemplate: model.chatTemplate,
            tensors: model.tensors, source: model.source)
        #expect(try model.fileBytes().count == planned)
    }

    @Test func largeTensorsAreCutIntoTilesOfAtMost64KiB() throws {
        var model = TinyModel()
        model.config.vocabularySize = 1000
        model.config.hiddenSize = 256
        model.setTensors(encoding: .int8)
        let folder = try TemporaryFolder()
        try model.write(to: folder.file("model.tsr"), chunk: 100_001)
        let file = try WeightFile(path: folder.file("model.tsr"))
        let embedding = try #require(file.tensor("model.embed_tokens.weight"))
        let panel = TensorRecord.panelBytes(encoding: .int8, columns: 256)
        #expect(panel == 8 * (32 + 512))
        #expect(embedding.tileRows == 16 * (65_536 / panel))
        #expect(embedding.tileCount == 5)
        #expect(embedding.byteCount == 63 * panel)
        var calls = 0
        try file.verify { done, total in
            calls += 1
            #expect(done <= total)
        }
        #expect(calls == file.tensors.reduce(0) { $0 + $1.tileCount })
    }
}
