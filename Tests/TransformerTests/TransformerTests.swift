import TesseraAllocationCounter
import TesseraKernels
import Testing
import TesseraTransformer
import TesseraWeightFile

@Suite struct TransformerTests {
    @Test("Logits are given for the wanted rows alone, in their order")
    func wantedRows() async throws {
        let file = try await TinyModel.llama.open()
        let tokens = randomTokens(40)
        let all = try TokenSequence.reference(file).causalLogits(tokens)
        let transformer = try TokenSequence.reference(file, batch: 9)
        let rows = [0, 8, 9, 20, 39]
        let some = try transformer.logits(committed: tokens, rows: rows)
        #expect(largestError(rows.map { all[$0] }, some) <= 1e-5)
    }

    @Test(
        "A decode step allocates nothing",
        .enabled(if: tsr_allocation_count() >= 0, "allocations cannot be counted here"),
        arguments: [TinyModel.llama, .qwen2, .ministral3])
    func noAllocation(_ model: TinyModel) async throws {
        let file = try await model.open(bits: .eight)
        // Small enough that the window moves on and sinks are placed anew.
        let sequence = try TokenSequence.reference(
            file, context: 40, sinks: 4, batch: 32, cache: .int8, threads: 2)
        let other = try TokenSequence(sequence.workspace)
        try sequence.forward(committed: randomTokens(60), logitRows: [])
        try other.forward(committed: randomTokens(30), logitRows: [])
        let token: [Int32] = [17]
        let block = randomTokens(8)
        let (first, rows) = ([0], Array(7..<16))
        let shared = [
            Segment(other, committed: token, logitRows: first),
            Segment(sequence, committed: block, open: block, logitRows: rows),
        ]
        func steps(_ count: Int) throws -> Int {
            let before = tsr_allocation_count()
            for _ in 0..<count {
                try sequence.forward(committed: token, logitRows: first)
                try sequence.forward(committed: block, open: block, logitRows: rows)
                sequence.truncate(to: sequence.position - 8)
                try sequence.workspace.forward(shared)
                sequence.truncate(to: sequence.position - 8)
            }
            return tsr_allocation_count() - before
        }
        let uncounted = tsr_allocation_count()
        withExtendedLifetime(Buffer<UInt8>(count: 1)) {}
        try #require(tsr_allocation_count() > uncounted, "the counter does not count")
        // The Swift runtime makes its type metadata; within 16 positions the sinks are placed anew too.
        _ = try steps(20)
        // Every 200 ms a pass looks at the file and the control groups first, which takes memory.
        #expect(try (0..<8).contains { _ in try steps(20) == 0 })
    }

    @Test("Every instruction set gives the same logits", arguments: Compute.availableISAs)
    func instructionSets(_ isa: String) async throws {
        let file = try await TinyModel.qwen3.open(bits: .eight)
        var options = Model.Options()
        options.isa = "scalar"
        let tokens = randomTokens(30)
        let expected = try TokenSequence(file, options: options).causalLogits(tokens)
        options.isa = isa
        let got = try TokenSequence(file, options: options).causalLogits(tokens)
        let divergence = Divergence(expected, got)
        #expect(divergence.mean < 1e-3, "\(isa): \(divergence.mean)")
    }

    @Test("Options that cannot work are refused with advice")
    func refusals() async throws {
        let file = try await TinyModel.smollm.open()
        func error(_ change: (inout Model.Options) -> Void) -> TransformerError? {
            var options = Model.Options()
            change(&options)
            do {
                _ = try TokenSequence(file, options: options)
                return nil
            } catch {
                return error
            }
        }
        #expect(error { $0.contextLength = 4 } == .contextTooShort(4, sinks: 4))
        #expect(error { $0.batchCapacity = 0 } == .badBatch(0))
        #expect(error { $0.logitCapacity = -1 } == .badLogitRows(-1))
        #expect(error { $0.contextLength = 257 } == .contextTooLong(257, maximum: 256))
        #expect(error { $0.contextLength = .max }?.description.contains("shorter context") == true)
        #expect(error { $0.contextLength = 1 << 50 }?.description.contains("shorter") == true)
        #expect(error { $0.isa = "mmx" }?.description.contains("scalar") == true)
        #expect(error { $0.sinks = 0 } == nil)
    }

    @Test("The numbers shown to the user add up")
    func sizes() async throws {
        let file = try await TinyModel.llama.open()
        let transformer = try TokenSequence.reference(file, context: 100, sinks: 4, batch: 16)
        // 2 layers, 2 kv heads of 16, keys and values, floats, at least context + batch slots.
        let least = 2 * 2 * 16 * 2 * 4 * (100 + 16)
        #expect(transformer.cacheBytes >= least && transformer.cacheBytes < least * 2)
        // All matrices but the embedding, which a pass only looks up.
        let matrices = file.tensors.filter { $0.rows > 1 && !$0.name.contains("embed") }
        #expect(transformer.model.weightBytes == matrices.reduce(0) { $0 + $1.byteCount })
        #expect(transformer.workspace.scratchBytes > transformer.logits.count * 4)
        #expect(transformer.model.residency.isResident)
    }
}
