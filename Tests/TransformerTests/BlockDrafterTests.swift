import Foundation
import TesseraAllocationCounter
import TesseraImport
import TesseraKernels
import TesseraQuantization
import Testing
import TesseraTransformer
import TesseraWeightFile

/// The random drafters of Tools/oracle/make_drafters.py.
enum TinyDrafter: String, CaseIterable {
    case dflash, dspark, plain

    struct Golden: Decodable {
        struct Row: Decodable {
            var logits: [Float]
            var token: Int32
            var chance: Float?
        }
        struct Block: Decodable {
            var context: Int
            var count: Int
            var rows: [Row]
        }
        var target: String
        var text: [Int32]
        var blocks: [Block]
    }

    var folder: URL { TinyModel.resources.appending(path: "drafters/\(rawValue)") }

    func golden() throws -> Golden {
        try JSONDecoder().decode(
            Golden.self, from: Data(contentsOf: folder.appending(path: "golden.json")))
    }

    func target(bits: EncodingPlan.Options.Bits = .thirtyTwo) async throws -> WeightFile {
        var options = EncodingPlan.Options()
        options.bits = bits
        return try await TinyModel.open(try golden().target, options)
    }

    /// Imports and opens it; the file on disk is gone when this returns.
    func open(
        bits: EncodingPlan.Options.Bits = .thirtyTwo, vocabulary: Int = 1 << 20
    ) async throws -> WeightFile {
        let target = SourceHead(
            try openModel(at: TinyModel.resources.appending(path: try golden().target).path))
        let drafter = try HuggingFaceDrafter(
            folder: folder.path, for: target, vocabulary: vocabulary)
        var options = EncodingPlan.Options()
        options.bits = bits
        let plan = try EncodingPlan(for: drafter.tensors, tiedHead: false, options: options)
        let path = FileManager.default.temporaryDirectory
            .appending(path: "tessera-\(UUID().uuidString).tsr").path
        _ = try await Quantizer(drafter, plan: plan, threads: 1).write(
            to: path, progress: { _, _ in }, isCancelled: { false })
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try WeightFile(path: path)
    }
}

/// The head of a model that is imported.
struct SourceHead: DraftTarget {
    let source: any TensorSource
    var config: ModelConfig { source.config }

    init(_ source: any TensorSource) { self.source = source }

    func headRows(_ ids: [Int], into output: inout [Float]) {
        let name = config.headName
        guard let head = source.tensors.first(where: { $0.name == name }) else { return }
        var row = [Float](repeating: 0, count: head.columns)
        for (index, id) in ids.enumerated() {
            try? source.read(head, rows: id..<id + 1, into: &row)
            output.replaceSubrange(index * head.columns..<(index + 1) * head.columns, with: row)
        }
    }
}

@Suite struct BlockDrafterTests {
    private func options(batch: Int, cache: KVLayer.Encoding = .f32) -> Model.Options {
        var options = Model.Options()
        options.contextLength = 64
        options.batchCapacity = batch
        options.kvEncoding = cache
        options.threads = 1
        options.logitCapacity = 8
        return options
    }

    private func text(
        _ target: WeightFile, _ drafter: WeightFile, batch: Int = 24, cache: KVLayer.Encoding = .f32
    ) throws -> (TokenSequence, DraftContext) {
        let options = options(batch: batch, cache: cache)
        let workspace = try Workspace(Model(target, options: options))
        let loaded = try BlockDrafter(drafter, nextTo: workspace, options: options)
        let sequence = try TokenSequence(workspace)
        return (sequence, try sequence.follow(by: loaded))
    }

    /// Rows of the likeliest chain.
    private func chain(
        _ context: DraftContext, anchor: Int32, count: Int
    ) throws -> [TinyDrafter.Golden.Row] {
        try context.open(anchor: anchor, count: count)
        var previous = anchor
        return (0..<count).map { index in
            let chance = context.finish(row: index, previous: previous)
            let logits = (0..<context.columns).map {
                context.logits[index * context.logitStride + $0]
            }
            let best = logits.indices.max { logits[$0] < logits[$1] } ?? 0
            previous = context.draftTokens.isEmpty ? Int32(best) : Int32(context.draftTokens[best])
            return .init(logits: logits, token: previous, chance: chance)
        }
    }

    @Test("Blocks give what the reference gives", arguments: TinyDrafter.allCases)
    func reference(_ drafter: TinyDrafter) async throws {
        let golden = try drafter.golden()
        let (sequence, context) = try text(await drafter.target(), await drafter.open())
        for block in golden.blocks {
            sequence.reset()
            try sequence.forward(committed: Array(golden.text[..<block.context]), logitRows: [])
            #expect(context.position == block.context)
            let rows = try chain(
                context, anchor: golden.text[block.context], count: block.count)
            #expect(rows.map(\.token) == block.rows.map(\.token))
            let error = largestError(rows.map(\.logits), block.rows.map(\.logits))
            #expect(error <= 2e-4, "\(block.context): \(error)")
            for (row, wanted) in zip(rows, block.rows) {
                #expect((row.chance == nil) == (wanted.chance == nil))
                #expect(abs((row.chance ?? 0) - (wanted.chance ?? 0)) < 1e-4)
            }
        }
    }

    @Test(
        "Context that grew in steps, with tokens that were dropped, is that of one pass, bit for bit",
        arguments: TinyDrafter.allCases, [KVLayer.Encoding.f32, .int8])
    func context(_ drafter: TinyDrafter, _ cache: KVLayer.Encoding) async throws {
        let golden = try drafter.golden()
        let target = try await drafter.target(bits: .eight)
        let file = try await drafter.open(bits: .eight)
        let (whole, one) = try text(target, file, cache: cache)
        let (grown, other) = try text(target, file, cache: cache)
        let tokens = golden.text
        try whole.forward(committed: Array(tokens[..<25]), logitRows: [])
        var position = 0
        for count in [11, 1, 3, 8, 2] {
            let wrong = [Int32](repeating: 5, count: 3)
            let end = position + count
            try grown.forward(committed: tokens[position..<end] + wrong, logitRows: [0])
            _ = try chain(other, anchor: 9, count: 2)  // leaves no trace
            grown.truncate(to: end)
            #expect(other.position == end)
            position = end
        }
        let a = try chain(one, anchor: tokens[25], count: 3)
        let b = try chain(other, anchor: tokens[25], count: 3)
        #expect(a.map { $0.logits.map(\.bitPattern) } == b.map { $0.logits.map(\.bitPattern) })
        #expect(a.map(\.chance) == b.map(\.chance))
    }

    @Test("A target's logits are the same, in every bit, with a drafter next to it")
    func target() async throws {
        let golden = try TinyDrafter.dspark.golden()
        let file = try await TinyDrafter.dspark.target(bits: .eight)
        func bits(_ sequence: TokenSequence) throws -> [[UInt32]] {
            try sequence.logits(committed: golden.text, rows: [0, 13, 29]).map {
                $0.map(\.bitPattern)
            }
        }
        let alone = try TokenSequence(file, options: options(batch: 12))
        let (followed, _) = try text(file, await TinyDrafter.dspark.open(), batch: 12)
        #expect(try bits(alone) == bits(followed))
    }

    @Test(
        "A pass that a drafter follows, and a block of it, allocate nothing",
        .enabled(if: tsr_allocation_count() >= 0, "allocations cannot be counted here"),
        arguments: TinyDrafter.allCases)
    func noAllocation(_ drafter: TinyDrafter) async throws {
        let golden = try drafter.golden()
        let (sequence, context) = try text(
            await drafter.target(bits: .eight), await drafter.open(bits: .eight), cache: .int8)
        try sequence.forward(committed: Array(golden.text[..<20]), logitRows: [])
        let (next, rows) = (Array(golden.text[20..<23]), [2])
        func steps() throws -> Int {
            let before = tsr_allocation_count()
            for _ in 0..<10 {
                try sequence.forward(committed: next, logitRows: rows)
                try context.open(anchor: 9, count: 3)
                for row in 0..<3 { _ = context.finish(row: row, previous: 9) }
                sequence.truncate(to: 20)
            }
            return tsr_allocation_count() - before
        }
        let uncounted = tsr_allocation_count()
        withExtendedLifetime(Buffer<UInt8>(count: 1)) {}
        try #require(tsr_allocation_count() > uncounted, "the counter does not count")
        // As in the test of a pass without a drafter.
        _ = try steps()
        #expect(try (0..<8).contains { _ in try steps() == 0 })
    }

    @Test("A text that takes over another's beginning takes over its context")
    func copies() async throws {
        let golden = try TinyDrafter.dflash.golden()
        let (first, _) = try text(
            await TinyDrafter.dflash.target(), await TinyDrafter.dflash.open())
        let second = try TokenSequence(first.workspace)
        guard let drafter = first.workspace.drafter else { return #expect(Bool(false)) }
        let context = try second.follow(by: drafter)
        try first.forward(committed: Array(golden.text[..<20]), logitRows: [])
        #expect(second.copy(first, upTo: 9))
        #expect(context.position == 9)
        let block = golden.blocks[1]
        let rows = try chain(context, anchor: golden.text[9], count: block.count)
        #expect(rows.map(\.token) == block.rows.map(\.token))
    }

    @Test(
        "A text that began before its drafter has context only for later tokens, and for all tokens after it begins anew"
    )
    func late() async throws {
        let golden = try TinyDrafter.dflash.golden()
        let options = options(batch: 24)
        let workspace = try Workspace(
            Model(await TinyDrafter.dflash.target(), options: options))
        let sequence = try TokenSequence(workspace)
        try sequence.forward(committed: Array(golden.text[..<9]), logitRows: [])
        let context = try sequence.follow(
            by: await BlockDrafter(TinyDrafter.dflash.open(), nextTo: workspace, options: options))
        try sequence.forward(committed: Array(golden.text[9..<20]), logitRows: [])
        #expect(context.position == 20)
        let rows = try chain(context, anchor: golden.text[20], count: 3)
        #expect(rows.allSatisfy { $0.logits.allSatisfy(\.isFinite) })
        sequence.truncate(to: 5)
        #expect(context.position == 5)
        sequence.reset()
        let block = golden.blocks[1]
        try sequence.forward(committed: Array(golden.text[..<block.context]), logitRows: [])
        let whole = try chain(context, anchor: golden.text[block.context], count: block.count)
        #expect(whole.map(\.token) == block.rows.map(\.token))
    }

    @Test("Fewer rows of the head are the first tokens'")
    func vocabulary() async throws {
        let golden = try TinyDrafter.dflash.golden()
        let file = try await TinyDrafter.dflash.open(vocabulary: 100)
        #expect(file.config.headRows == 100)
        let (sequence, context) = try text(await TinyDrafter.dflash.target(), file)
        let block = golden.blocks[1]
        try sequence.forward(committed: Array(golden.text[..<block.context]), logitRows: [])
        try context.open(anchor: golden.text[block.context], count: block.count)
        let row = (0..<100).map { context.logits[$0] }
        #expect(largestError([row], [Array(block.rows[0].logits[..<100])]) <= 2e-4)
    }

    @Test("A drafter runs only next to a model that it fits")
    func misfits() async throws {
        let drafter = try await TinyDrafter.dflash.open()
        #expect(throws: TransformerError.self) { try Model(drafter) }
        let target = try await TinyDrafter.dflash.target()
        #expect(throws: TransformerError.self) {
            try Model(target, draftingFor: try Model(target))
        }
        var other = target.config
        other.vocabularySize += 1
        #expect(drafter.config.misfit(as: other)?.contains("vocabulary") == true)
        other = target.config
        other.layers.removeLast()
        #expect(drafter.config.misfit(as: other)?.contains("layers") == true)
        #expect(drafter.config.misfit(as: target.config) == nil)
    }
}

@Suite struct DrafterImportTests {
    private func withFolder(
        _ change: (inout [String: Any]) -> Void, _ body: (String) throws -> Void
    ) throws {
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "tessera-drafter-\(UUID().uuidString)")
        try FileManager.default.copyItem(at: TinyDrafter.dflash.folder, to: folder)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "config.json")
        var config =
            try JSONSerialization.jsonObject(with: Data(contentsOf: path)) as? [String: Any] ?? [:]
        change(&config)
        try JSONSerialization.data(withJSONObject: config).write(to: path)
        try body(folder.path)
    }

    private func reason(_ change: (inout [String: Any]) -> Void) throws -> String {
        let target = SourceHead(
            try openModel(at: TinyModel.resources.appending(path: "qwen3").path))
        var reason = ""
        try withFolder(change) { folder in
            do {
                _ = try HuggingFaceDrafter(folder: folder, for: target, vocabulary: 1000)
            } catch {
                reason = "\(error)"
            }
        }
        return reason
    }

    @Test("What does not fit is said")
    func refusals() throws {
        #expect(try reason { _ in }.isEmpty)
        let wrong: [(String, Any, String)] = [
            ("hidden_size", 64, "hidden size"), ("vocab_size", 300, "vocabulary"),
            ("num_target_layers", 3, "layers"), ("block_size", 1, "block_size"),
            ("dflash_config", ["target_layer_ids": [2], "mask_token_id": 1], "target_layer_ids"),
            ("dflash_config", ["target_layer_ids": [1], "mask_token_id": 320], "mask_token_id"),
            ("dflash_config", ["target_layer_ids": [1], "mask_token_id": 1], "fc.weight"),
            ("selector_rank", 256, "selector_rank"), ("markov_rank", 8, "markov_w1"),
            ("draft_tokens", [3, 2], "draft_tokens"), ("num_hidden_layers", 1, "layers.1."),
        ]
        for (name, value, part) in wrong {
            let found = try reason { $0[name] = value }
            #expect(found.contains(part), "\(name): \(found)")
        }
    }

    @Test("A drafter's folder by itself is no model")
    func alone() {
        #expect(throws: ImportError.self) {
            try openModel(at: TinyDrafter.dflash.folder.path)
        }
    }
}
