import Foundation
import TesseraImport
import TesseraKernels
import TesseraQuantization
import Testing
import TesseraTransformer
import TesseraWeightFile

/// Imports of a random model in most types of GGUF, made by Tools/oracle/make_quantized.py.
@Suite struct QuantizedImportTests {
    private let path = TinyModel.resources.appending(path: "quantized.gguf").path

    @Test("A quantized model becomes a file of about its size that holds exactly its weights")
    func exactness() async throws {
        let (source, file) = try await imported(nil)
        #expect(Set(source.tensors.map(\.type)).count == 9)
        for tensor in source.tensors {
            var values = [Float](repeating: 0, count: tensor.rows * tensor.columns)
            try source.read(tensor, rows: 0..<tensor.rows, into: &values)
            #expect(try rows(of: tensor, in: file) == values, "\(tensor.name)")
        }
        let stored = file.tensors.reduce(0) { $0 + $1.byteCount }
        #expect(Double(stored) < 1.1 * Double(source.sourceBytes))
    }

    /// What differs is what 8-bit activations cost: as little as with 8-bit weights.
    @Test("Its logits are those of its weights in floats", arguments: Compute.availableISAs)
    func logits(isa: String) async throws {
        let tokens = randomTokens(60)
        let reference = try TokenSequence.reference(try await imported(.thirtyTwo).file)
            .causalLogits(tokens)
        func divergence(_ bits: EncodingPlan.Options.Bits?) async throws -> Double {
            var options = Model.Options()
            options.isa = isa
            let got = try TokenSequence(try await imported(bits).file, options: options)
                .causalLogits(tokens)
            return Divergence(reference, got).mean
        }
        let (asFound, eight) = (try await divergence(nil), try await divergence(.eight))
        #expect(asFound <= max(0.003, 1.5 * eight), "KL \(asFound), with 8 bits \(eight)")
        #expect(try await divergence(.four) > 3 * asFound, "the measure tells differences")
    }

    private func imported(
        _ bits: EncodingPlan.Options.Bits?
    ) async throws -> (source: any TensorSource, file: WeightFile) {
        let source = try openModel(at: path)
        var options = EncodingPlan.Options()
        options.bits = bits
        let plan = try EncodingPlan(
            for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: options)
        let output = FileManager.default.temporaryDirectory
            .appending(path: "tessera-\(UUID().uuidString).tsr").path
        defer { try? FileManager.default.removeItem(atPath: output) }
        _ = try await Quantizer(source, plan: plan, threads: 1).write(
            to: output, progress: { _, _ in }, isCancelled: { false })
        return (source, try WeightFile(path: output))
    }

    /// The values of the file's bytes, by the runtime's own row lookup.
    private func rows(of tensor: SourceTensor, in file: WeightFile) throws -> [Float] {
        let record = try #require(file.tensor(tensor.name))
        let encoding = try #require(Matrix.Encoding(rawValue: record.encoding.rawValue))
        let matrix = unsafe Matrix(
            rows: record.rows, columns: record.columns, encoding: encoding,
            bytes: UnsafeRawBufferPointer(
                start: file.unsafePointer(of: record), count: record.byteCount))
        let ids = Buffer<Int32>(count: tensor.rows)
        for row in 0..<tensor.rows { ids[row] = Int32(row) }
        let x = Buffer<Float>(count: tensor.rows * tensor.columns)
        try Compute(isa: "scalar", threads: 1)
            .embed(matrix, tokens: ids, count: tensor.rows, into: x)
        return (0..<x.count).map { x[$0] }
    }
}
