import Foundation
import TesseraImport
import TesseraKernels
import TesseraQuantization
import Testing
import TesseraWeightFile

struct QuantizationTests {
    @Test func floatsAreKeptExactly() async throws {
        let source = try openModel(at: "synthetic:tiny")
        let file = try await quantize(source) { $0.bits = .thirtyTwo }
        for tensor in source.tensors {
            #expect(
                try stored(tensor, in: file) == values(of: tensor, in: source), "\(tensor.name)")
        }
    }

    @Test func halvesAreRoundedOnce() async throws {
        let source = try openModel(at: "synthetic:tiny")
        let file = try await quantize(source) { $0.bits = .sixteen }
        for tensor in source.tensors where tensor.rows > 1 {
            let expected = try values(of: tensor, in: source).map { Float(Float16($0)) }
            #expect(try stored(tensor, in: file) == expected, "\(tensor.name)")
        }
    }

    /// |error| <= half a step, and the step is the group's largest value / 127, rounded to a half.
    @Test func eightBitCodesAreWithinHalfAStep() async throws {
        let source = try openModel(at: "synthetic:tiny")
        let file = try await quantize(source) { $0.bits = .eight }
        for tensor in source.tensors where tensor.rows > 1 {
            let (exact, got) = (
                try values(of: tensor, in: source), try stored(tensor, in: file)
            )
            for group in groups(of: tensor) {
                let largest = group.map { abs(exact[$0]) }.max() ?? 0
                let bound = largest / 127 * 0.5 * 1.001 + largest * 0x1p-11
                #expect(group.allSatisfy { abs(exact[$0] - got[$0]) <= bound }, "\(tensor.name)")
            }
        }
    }

    /// The search may only improve on plain rounding, over all weights and in every encoding.
    @Test(arguments: [TensorEncoding.int4, .int4Affine, .int4Nested])
    func theSearchNeverMakesFourBitsWorse(encoding: TensorEncoding) async throws {
        let source = try openModel(at: "synthetic:tiny")
        var errors: [Double] = []
        for candidates in [0, 1, 4, 6] {
            let file = try await quantize(source) {
                $0.overrides = ["*down_proj*=\(encoding)"]
                $0.candidates = candidates
            }
            let tensor = try #require(
                source.tensors.first { $0.name.hasSuffix("down_proj.weight") })
            let (exact, got) = (
                try values(of: tensor, in: source), try stored(tensor, in: file)
            )
            let error = zip(exact, got).reduce(0) { $0 + pow(Double($1.0 - $1.1), 2) }
            let size = exact.reduce(0) { $0 + pow(Double($1), 2) }
            errors.append((error / size).squareRoot())
        }
        #expect(errors == errors.sorted(by: >))
        // A gaussian's 4-bit groups of 32: plain rounding to -8...7 leaves about a tenth.
        #expect(errors[3] < 0.095 && errors[0] < 0.11, "\(errors)")
    }

    @Test func theBytesDoNotDependOnThreads() async throws {
        let source = try openModel(at: "synthetic:tiny")
        let one = try await bytes(source, threads: 1)
        #expect(try await bytes(source, threads: 3) == one)
    }

    @Test func theAnnouncedSizeIsTheFilesSize() async throws {
        let source = try openModel(at: "synthetic:tiny")
        for bits in EncodingPlan.Options.Bits.allCases {
            var options = EncodingPlan.Options()
            options.bits = bits
            let plan = try EncodingPlan(
                for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: options)
            let planned = WeightFileWriter.plannedBytes(
                config: source.config, tokenizer: source.tokenizer,
                chatTemplate: source.chatTemplate, tensors: plan.specs, source: source.origin)
            let file = try await quantize(source) { $0.bits = bits }
            #expect(file.fileBytes == planned)
        }
    }

    /// Quantized weights keep every value, in every type of GGUF.
    @Test(arguments: BlockSource.types)
    func codesOfTheSourceAreKept(type: SourceType) async throws {
        let source = try BlockSource(type)
        let file = try await quantize(source)
        for tensor in source.tensors where tensor.type == type {
            #expect(file.tensor(tensor.name)?.encoding == type.codeEncoding)
            #expect(
                try stored(tensor, in: file) == values(of: tensor, in: source), "\(tensor.name)")
        }
    }

    /// A number of bits that is asked for is a limit for codes that are kept.
    @Test func fourBitsKeepWhatHasNoMore() throws {
        func encoding(_ type: SourceType, _ name: String) throws -> TensorEncoding? {
            var options = EncodingPlan.Options()
            options.bits = .four
            let plan = try EncodingPlan(
                for: BlockSource(type).tensors, tiedHead: false, options: options)
            return plan.entries.first { $0.tensor.name == name }?.encoding
        }
        let matrix = "model.layers.0.self_attn.q_proj.weight"
        for type in [SourceType.q4_0, .q4_1, .q2_K, .q3_K, .q4_K] {
            #expect(try encoding(type, matrix) == type.codeEncoding)
        }
        for type in [SourceType.q5_0, .q5_1, .q5_K, .q6_K, .q8_0, .f16] {
            #expect(try encoding(type, matrix) == .int4Nested)
        }
        #expect(try encoding(.q6_K, "lm_head.weight") == .int6Nested)
        #expect(try encoding(.bf16, "lm_head.weight") == .int6Nested)
    }

    /// Without a number of bits floats get 8 bits, and random weights 4.
    @Test func floatsGetEightBitsWhereNoneAreAskedFor() throws {
        for (type, wanted) in [
            (SourceType.f32, TensorEncoding.int8), (.bf16, .int8), (.synthetic, .int4Nested),
        ] {
            let tensor = SourceTensor(
                name: "model.layers.0.mlp.up_proj.weight", rows: 64, columns: 64, type: type)
            let plan = try EncodingPlan(for: [tensor], tiedHead: true, options: .init())
            #expect(plan.entries[0].encoding == wanted)
            #expect(!plan.entries[0].keepsValues)
        }
    }

    @Test func overridesNameTensorsAndTheLastWins() throws {
        let source = try openModel(at: "synthetic:tiny")
        func plan(_ overrides: [String]) throws -> EncodingPlan {
            var options = EncodingPlan.Options()
            options.overrides = overrides
            return try EncodingPlan(
                for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: options)
        }
        let both = try plan(["*_proj.weight=int8", "*.0.*v_proj*=f16"])
        func encoding(_ name: String) -> TensorEncoding? {
            both.entries.first { $0.tensor.name == name }?.encoding
        }
        #expect(encoding("model.layers.0.self_attn.v_proj.weight") == .f16)
        #expect(encoding("model.layers.0.self_attn.q_proj.weight") == .int8)
        #expect(encoding("model.layers.1.self_attn.v_proj.weight") == .int8)
        #expect(encoding("model.norm.weight") == .f32)
        for wrong in ["*v_proj*", "*v_proj*=int3", "nothing*=int8", "=int8"] {
            #expect(throws: QuantizationError.self) { try plan([wrong]) }
        }
    }

    /// One rule for every way to store a tensor: values that its numbers cannot reach are refused by name.
    @Test(
        arguments: [Float.nan, .infinity, 1e38, -65520],
        [[], ["*=int4"], ["*=int4Affine"], ["*=int8"], ["*=f16"]])
    func valuesThatCannotBeStoredAreNamed(value: Float, overrides: [String]) async throws {
        var source = try BlockSource(.f32)
        source.poison = value
        let hasScales = overrides != ["*=f16"]
        guard value != -65520 || !hasScales else { return }
        let error = await #expect(throws: QuantizationError.self) {
            _ = try await quantize(source) {
                $0.bits = .eight
                $0.overrides = overrides
            }
        }
        #expect(error?.description.contains(source.poisoned) == true)
    }

    @Test func halvesReach65504() async throws {
        var source = try BlockSource(.f32)
        source.poison = 65519
        let file = try await quantize(source) { $0.bits = .sixteen }
        let tensor = try #require(source.tensors.first { $0.name == source.poisoned })
        #expect(try stored(tensor, in: file).max() == 65504)
    }

    @Test(arguments: [SourceType.q4_0, .q5_1, .q8_0, .q4_K, .q6_K], [Float16.nan, -.infinity])
    func scalesThatAreNotFiniteAreRefused(type: SourceType, scale: Float16) async throws {
        var source = try BlockSource(type)
        source.scale = scale
        let isNested = type == .q4_K || type == .q6_K
        let wanted = QuantizationError.notFinite(
            tensor: source.poisoned, row: 3, column: isNested ? 0 : 32)
        await #expect(throws: wanted) { _ = try await quantize(source) }
    }

    /// Such a code is allowed in GGUF, not in a weight file.
    @Test(arguments: [true, false])
    func groupsWithTheCode128BelowZeroStayCloseOrEqual(isEven: Bool) async throws {
        var source = try BlockSource(.q8_0)
        source.lowest = { isEven ? $0 / 2 * 2 : $0 }
        let path = try await write(source, threads: 2) { $0.bits = .eight }
        defer { try? FileManager.default.removeItem(atPath: path) }
        let file = try WeightFile(path: path)
        try file.verify(progress: { _, _ in })
        let tensor = try #require(source.tensors.first { $0.name == source.poisoned })
        let (exact, got) = (try values(of: tensor, in: source), try stored(tensor, in: file))
        let changed = 3 * tensor.columns + 32..<3 * tensor.columns + 64
        for index in exact.indices {
            guard !isEven, changed.contains(index) else {
                #expect(got[index] == exact[index])
                continue
            }
            let step = (changed.map { abs(exact[$0]) }.max() ?? 0) / 127
            #expect(abs(got[index] - exact[index]) <= 0.52 * step)
        }
        #expect(exact[changed.lowerBound] < 0 && got != Array(repeating: 0, count: got.count))
        let again = try await result(of: source)
        #expect(again.summaries.reduce(0) { $0 + $1.recodedGroups } == (isEven ? 0 : 1))
        #expect(again.summaries.contains { $0.relativeError > 0 } == !isEven)
    }

    @Test func cancellingLeavesNothingBehind() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let source = try openModel(at: "synthetic:tiny")
        let plan = try EncodingPlan(
            for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: .init())
        var asked = 0
        await #expect(throws: QuantizationError.cancelled) {
            _ = try await Quantizer(source, plan: plan, threads: 2).write(
                to: folder.appending(path: "out.tsr").path, progress: { _, _ in },
                isCancelled: {
                    asked += 1
                    return asked > 2
                })
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }
}

// MARK: - Helpers

private func quantize(
    _ source: any TensorSource, threads: Int = 2,
    _ change: (inout EncodingPlan.Options) -> Void = { _ in }
) async throws -> WeightFile {
    let path = try await write(source, threads: threads, change)
    defer { try? FileManager.default.removeItem(atPath: path) }
    let file = try WeightFile(path: path)
    try file.verify(progress: { _, _ in })
    return file
}

/// The writer's result for a file of 8-bit codes.
private func result(of source: any TensorSource) async throws -> Quantizer.Result {
    var options = EncodingPlan.Options()
    options.bits = .eight
    let plan = try EncodingPlan(
        for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: options)
    let path = FileManager.default.temporaryDirectory
        .appending(path: "tessera-\(UUID().uuidString).tsr").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await Quantizer(source, plan: plan, threads: 1).write(
        to: path, progress: { _, _ in }, isCancelled: { false })
}

private func bytes(_ source: any TensorSource, threads: Int) async throws -> Data {
    let path = try await write(source, threads: threads) { _ in }
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try Data(contentsOf: URL(filePath: path))
}

private func write(
    _ source: any TensorSource, threads: Int, _ change: (inout EncodingPlan.Options) -> Void
) async throws -> String {
    var options = EncodingPlan.Options()
    change(&options)
    let plan = try EncodingPlan(
        for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: options)
    let path = FileManager.default.temporaryDirectory
        .appending(path: "tessera-\(UUID().uuidString).tsr").path
    _ = try await Quantizer(source, plan: plan, threads: threads).write(
        to: path, progress: { _, _ in }, isCancelled: { false })
    return path
}

private func values(of tensor: SourceTensor, in source: any TensorSource) throws -> [Float] {
    var values = [Float](repeating: 0, count: tensor.rows * tensor.columns)
    try source.read(tensor, rows: 0..<tensor.rows, into: &values)
    return values
}

/// The values of the file's bytes, by the runtime's own row lookup.
private func stored(_ tensor: SourceTensor, in file: WeightFile) throws -> [Float] {
    let record = try #require(file.tensor(tensor.name))
    let encoding = try #require(Matrix.Encoding(rawValue: record.encoding.rawValue))
    let matrix = unsafe Matrix(
        rows: record.rows, columns: record.columns, encoding: encoding,
        bytes: UnsafeRawBufferPointer(
            start: file.unsafePointer(of: record), count: record.byteCount))
    let ids = Buffer<Int32>(count: record.rows)
    for row in 0..<record.rows { ids[row] = Int32(row) }
    let x = Buffer<Float>(count: record.rows * record.columns)
    try Compute(isa: "scalar", threads: 1).embed(matrix, tokens: ids, count: record.rows, into: x)
    return (0..<x.count).map { x[$0] }
}

/// Indices of each group of 32 columns.
private func groups(of tensor: SourceTensor) -> [Range<Int>] {
    (0..<tensor.rows).flatMap { row in
        stride(from: 0, to: tensor.columns, by: 32).map { column in
            let begin = row * tensor.columns + column
            return begin..<begin + min(32, tensor.columns - column)
        }
    }
}
