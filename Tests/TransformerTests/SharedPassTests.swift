import Foundation
import TesseraImport
import TesseraKernels
import TesseraQuantization
import TesseraResidency
import Testing
import TesseraTransformer
import TesseraWeightFile

/// Weights in every form that kernels multiply.
enum StoredWeights: String, CaseIterable {
    /// A model in most types of GGUF becomes nested codes and codes of five bits.
    case f32, f16, int8, int4, int4Affine, nested, asFound, zstd, rans, trellis

    func open() async throws -> WeightFile {
        var options = EncodingPlan.Options()
        switch self {
        case .f32: options.bits = .thirtyTwo
        case .f16: options.bits = .sixteen
        case .int8: options.bits = .eight
        case .int4, .int4Affine: options.overrides = ["*_proj*=\(self)"]
        case .nested: (options.target, options.storages) = (.codes(bits: 4), [.plain])
        case .asFound: return try await TinyModel.open("quantized.gguf", options)
        case .zstd: (options.target, options.storages) = (.bitsPerWeight(5), [.zstd])
        case .rans: (options.target, options.storages) = (.bitsPerWeight(5), [.rans])
        case .trellis: (options.target, options.storages) = (.bitsPerWeight(4.5), [.trellis])
        }
        return try await TinyModel.open("qwen3", options)
    }
}

/// Several sequences in one pass.
@Suite struct SharedPassTests {
    private func workspace(
        _ file: WeightFile, cache: KVLayer.Encoding = .int8, isa: String? = nil
    ) throws -> Workspace {
        var options = Model.Options()
        options.contextLength = 40
        options.batchCapacity = 24
        options.logitCapacity = 128
        options.kvEncoding = cache
        options.isa = isa
        options.threads = 2
        return try Workspace(Model(file, options: options))
    }

    /// The rows that segments asked for, as bits.
    private func rows(_ workspace: Workspace, _ segments: [Segment]) throws -> [[[UInt32]]] {
        try workspace.forward(segments)
        let size = workspace.model.config.vocabularySize
        var row = 0
        return segments.map { segment in
            segment.logitRows.map { _ in
                defer { row += 1 }
                return (0..<size).map {
                    workspace.logits[row * workspace.logitStride + $0].bitPattern
                }
            }
        }
    }

    @Test(
        "No bit of a sequence's logits depends on what shares its passes",
        arguments: StoredWeights.allCases, Compute.availableISAs)
    func isolation(_ weights: StoredWeights, _ isa: String) async throws {
        let file = try await weights.open()
        for cache in KVLayer.Encoding.allCases {
            try checkIsolation(try workspace(file, cache: cache, isa: isa), seed: 7)
        }
    }

    /// Segments of any size, some longer than a batch, in any order and company, against passes of twins
    /// alone.
    private func checkIsolation(_ workspace: Workspace, seed: UInt64) throws {
        var random = SmallNumbers(seed: seed)
        let shared = try (0..<3).map { _ in try TokenSequence(workspace) }
        let alone = try (0..<3).map { _ in try TokenSequence(workspace) }
        for pass in 0..<12 {
            var company = [0, 1, 2]
            for index in company.indices { company.swapAt(index, random.below(3)) }
            company = Array(company.prefix(2 + random.below(2)))
            let segments = company.map { index in
                // Single tokens next to chunks of a prompt, and blocks after either.
                let count = pass % 3 == 0 ? 1 : 1 + random.below(index == 0 ? 30 : 9)
                let open = random.below(2) * random.below(6)
                return Segment(
                    shared[index], committed: randomTokens(count, seed: UInt64(100 * pass + index)),
                    open: randomTokens(open, seed: 3),
                    logitRows: Array(max(0, count - 2)..<count + open),
                    blockSize: pass % 4 == 1 ? 4 : 1)
            }
            let got = try rows(workspace, segments)
            for (position, index) in company.enumerated() {
                var segment = segments[position]
                segment.sequence = alone[index]
                let expected = try rows(workspace, [segment])[0]
                #expect(got[position] == expected, "pass \(pass), sequence \(index)")
                #expect(shared[index].position == alone[index].position)
            }
            // Some tokens turn out wrong, as a verified draft's do.
            let index = company[0]
            let back = min(random.below(3), segments[0].committed.count - 1)
            for sequence in [shared[index], alone[index]] {
                sequence.truncate(to: sequence.position - back)
            }
        }
    }

    @Test("A copied sequence goes on as the first does", arguments: KVLayer.Encoding.allCases)
    func copies(_ cache: KVLayer.Encoding) async throws {
        let workspace = try workspace(try await StoredWeights.int8.open(), cache: cache)
        let tokens = randomTokens(30)
        let first = try TokenSequence(workspace)
        try first.forward(committed: randomTokens(23, seed: 9), logitRows: [])
        let same = try TokenSequence(workspace)
        try same.forward(committed: randomTokens(90, seed: 2), logitRows: [])  // is replaced
        #expect(first.canBeCopied(upTo: 23) && !same.canBeCopied(upTo: 23))
        #expect(same.copy(first, upTo: 23))
        let shorter = try TokenSequence(workspace, contextLength: 28)
        #expect(shorter.copy(first, upTo: 23))
        // What comes after the tokens that are copied leaves no trace.
        let longer = try TokenSequence(workspace)
        try longer.forward(committed: randomTokens(23, seed: 9) + [1, 2, 3], logitRows: [])
        let part = try TokenSequence(workspace)
        #expect(part.copy(longer, upTo: 23))
        // Long enough for the window to move on.
        let expected = try first.causalLogits(tokens)
        #expect(largestError(expected, try same.causalLogits(tokens)) == 0)
        #expect(largestError(expected, try part.causalLogits(tokens)) == 0)
        let fits = try shorter.causalLogits(Array(tokens.prefix(5)))
        #expect(largestError(Array(expected.prefix(5)), fits) == 0)
    }

    @Test(
        "A text that does not outgrow its context takes no more memory than it, and has the same logits",
        arguments: [Int?.none, 12])
    func boundedTexts(open: Int?) async throws {
        let file = try await TinyModel.llama.open()
        var options = Model.Options()
        (options.contextLength, options.logitCapacity, options.threads) = (96, 96, 1)
        // Sums of floats in another order: codes of 8 bits would round some of them otherwise.
        options.kvEncoding = .f32
        let sliding = try TokenSequence(file, options: options)
        (options.slides, options.openCapacity) = (false, open)
        options.furtherContexts = [64]
        let sequence = try TokenSequence(file, options: options)
        let other = try TokenSequence(sequence.workspace, contextLength: 64)
        let plan = try Model.plan(file, options: options)
        #expect(plan.needs.cache == sequence.cacheBytes + other.cacheBytes)
        let config = file.config
        let slot = KVLayer.slotBytes(
            kvHeads: config.kvHeadCount, headDim: config.headDim, encoding: options.kvEncoding)
        let slots = 96 + (open ?? options.batchCapacity)
        #expect(sequence.cacheBytes <= config.layers.count * (slots + 15) / 16 * 16 * slot + 4096)
        let tokens = randomTokens(96)
        let got = try sequence.causalLogits(tokens)
        #expect(largestError(try sliding.causalLogits(tokens), got) < 1e-3)
        // Token by token: the same in any bit.
        sequence.reset()
        for (index, token) in tokens.enumerated() {
            try sequence.forward(committed: [token], logitRows: [0])
            let row = (0..<config.vocabularySize).map { sequence.logits[$0] }
            #expect(row == got[index], "position \(index)")
        }
    }

    @Test("Values that are not finite spoil the sequence that has them, and no other")
    func notFinite() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "nan-\(UUID())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "model.tsr")
        let source = try await TinyModel.llama.open()
        var bytes = Data(
            source.bytes(of: source.tensors[0]).withUnsafeBytes { _ in
                (try? Data(contentsOf: URL(filePath: source.descriptorPath))) ?? Data()
            })
        let embedding = try #require(source.tensor("model.embed_tokens.weight"))
        // Token 5 is infinite.
        let at = embedding.offset + 4 * 5 * embedding.columns
        bytes.replaceSubrange(at..<at + 4, with: [0, 0, 0x80, 0x7f])
        try bytes.write(to: path)
        let workspace = try workspace(try WeightFile(path: path.path))
        let good = try TokenSequence(workspace)
        let alone = try TokenSequence(workspace)
        let bad = try TokenSequence(workspace)
        let expected = try rows(
            workspace, [Segment(alone, committed: [1, 2, 3], logitRows: [2])])[0]
        let got = try rows(
            workspace,
            [
                Segment(bad, committed: [4, 5], logitRows: [0, 1]),
                Segment(good, committed: [1, 2, 3], logitRows: [2]),
            ])
        #expect(got[1] == expected)
        #expect(got[0].joined().allSatisfy { Float(bitPattern: $0).isNaN })
        let next = try rows(
            workspace,
            [
                Segment(good, committed: [7], logitRows: [0]),
                Segment(bad, committed: [7], logitRows: [0]),
            ])
        let after = try rows(workspace, [Segment(alone, committed: [7], logitRows: [0])])[0]
        #expect(next[0] == after)
        #expect(next[1].joined().allSatisfy { Float(bitPattern: $0).isNaN })
    }

    @Test("A sequence is admitted where memory holds its cache, and refused with numbers elsewhere")
    func admission() async throws {
        let file = try await TinyModel.llama.open()
        var options = Model.Options()
        options.contextLength = 128
        options.threads = 1
        options.furtherContexts = [128]
        let plan = try Model.plan(file, options: options)
        options.memory = MemoryBudget(bytes: plan.totalBytes + 4096, source: .option)
        let workspace = try Workspace(Model(file, options: options))
        let first = try TokenSequence(workspace)
        #expect(2 * first.cacheBytes == plan.needs.cache)
        do {
            let second = try TokenSequence(workspace)
            #expect(second.cacheBytes == first.cacheBytes)
            #expect(throws: TransformerError.self) { try TokenSequence(workspace) }
            do {
                _ = try TokenSequence(workspace)
            } catch {
                guard case .noRoomForSequence(first.cacheBytes, let available) = error else {
                    Issue.record("\(error)")
                    return
                }
                #expect(available < first.cacheBytes)
            }
        }
        // The memory of the second sequence is free again.
        _ = try TokenSequence(workspace)
    }
}
