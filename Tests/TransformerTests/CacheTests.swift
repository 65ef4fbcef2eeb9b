import TesseraKernels
import TesseraQuantization
import Testing
import TesseraTransformer
import TesseraWeightFile

@Suite struct CacheTests {
    @Test(
        "A long input in batches gives what single tokens give",
        arguments: TinyModel.allCases, [1, 5, 16, 64])
    func batches(_ model: TinyModel, _ batch: Int) async throws {
        let file = try await model.open()
        let tokens = randomTokens(64)
        let single = try TokenSequence.reference(file, batch: 128)
        let expected = try tokens.flatMap { try single.causalLogits([$0]) }
        let batched = try TokenSequence.reference(file, batch: batch)
        #expect(largestError(expected, try batched.causalLogits(tokens)) <= 1e-5)
        #expect(batched.position == 64)
        #expect(batched.workspace.passCount == (64 + batch - 1) / batch)
    }

    @Test(
        "Logits are the same bit for bit however tokens are batched",
        arguments: TinyModel.allCases, [EncodingPlan.Options.Bits.four, .eight, .thirtyTwo])
    func bitwise(_ model: TinyModel, _ bits: EncodingPlan.Options.Bits) async throws {
        let file = try await model.open(bits: bits)
        let tokens = randomTokens(64)
        let single = try TokenSequence.reference(file, context: 40, batch: 24, cache: .int8)
        let expected = try tokens.flatMap { try single.causalLogits([$0]) }
        let batched = try TokenSequence.reference(
            file, context: 40, batch: 24, cache: .int8, threads: 2)
        #expect(largestError(expected, try batched.causalLogits(tokens)) == 0)
    }

    @Test(
        "Beyond the window no result depends on how tokens were batched",
        arguments: 0..<12)
    func anyBatching(_ seed: Int) async throws {
        var random = SmallNumbers(seed: UInt64(seed))
        let file = try await TinyModel.allCases[seed % 5].open()
        let sinks = random.below(6)
        let context = sinks + 1 + random.below(30)
        let batch = 1 + random.below(40)
        let tokens = randomTokens(150, seed: UInt64(seed))
        let single = try TokenSequence.reference(file, context: context, sinks: sinks, batch: batch)
        let expected = try tokens.flatMap { try single.causalLogits([$0]) }
        let other = try TokenSequence.reference(file, context: context, sinks: sinks, batch: batch)
        var rest = tokens[...]
        var got: [[Float]] = []
        while !rest.isEmpty {
            let part = Array(rest.prefix(1 + random.below(60)))
            rest = rest.dropFirst(part.count)
            // Open tokens on the way must not show.
            let open = randomTokens(random.below(min(batch, 8) + 1), seed: 99)
            got += try other.logits(committed: part, open: open, rows: Array(part.indices))
        }
        let error = largestError(expected, got)
        #expect(error <= 1e-5, "context \(context), sinks \(sinks), batch \(batch): \(error)")
    }

    @Test("Committing a finished block fills the cache as a causal pass does")
    func commitEqualsCausal() async throws {
        let file = try await TinyModel.qwen3.open()
        let tokens = randomTokens(48)
        let masks = [Int32](repeating: 319, count: 8)
        let plain = try TokenSequence.reference(file)
        let expected = try plain.causalLogits(tokens)
        let blocks = try TokenSequence.reference(file)
        var got = try blocks.logits(
            committed: Array(tokens[..<16]), open: masks, rows: Array(0..<16))
        for begin in stride(from: 16, to: 40, by: 8) {
            _ = try blocks.logits(committed: [], open: masks, rows: [0])
            got += try blocks.logits(
                committed: Array(tokens[begin..<begin + 8]), open: masks, rows: Array(0..<8))
        }
        got += try blocks.causalLogits(Array(tokens[40...]))
        #expect(largestError(expected, got) <= 1e-5)
    }

    @Test("Open tokens leave no trace")
    func openLeavesNoTrace() async throws {
        let file = try await TinyModel.llama.open()
        let transformer = try TokenSequence.reference(file, context: 24, batch: 16)
        try transformer.forward(committed: randomTokens(50), logitRows: [])
        let open = randomTokens(16, seed: 3)
        let once = try transformer.logits(committed: [], open: open, rows: [0, 15])
        let again = try transformer.logits(committed: [], open: open, rows: [0, 15])
        #expect(largestError(once, again) == 0)
        #expect(transformer.position == 50)
    }

    @Test("Dropped tokens might never have been", arguments: [0, 3])
    func truncation(_ sinks: Int) async throws {
        let file = try await TinyModel.smollm.open()
        let (kept, wrong, right) = (randomTokens(61), randomTokens(16, seed: 5), randomTokens(30))
        let direct = try TokenSequence.reference(file, context: 20, sinks: sinks, batch: 16)
        try direct.forward(committed: kept, logitRows: [])
        let expected = try direct.causalLogits(right)
        let transformer = try TokenSequence.reference(file, context: 20, sinks: sinks, batch: 16)
        try transformer.forward(committed: kept, logitRows: [])
        for length in [16, 1, 7] {
            try transformer.forward(committed: Array(wrong[..<length]), logitRows: [])
            transformer.truncate(to: 61)
        }
        #expect(largestError(expected, try transformer.causalLogits(right)) <= 1e-5)
    }

    @Test("Tokens can be dropped as far back as the ring reaches, and no farther")
    func truncationLimits() async throws {
        let file = try await TinyModel.smollm.open()
        let transformer = try TokenSequence.reference(file, context: 20, sinks: 2, batch: 16)
        try transformer.forward(committed: randomTokens(30), logitRows: [])
        #expect(transformer.canTruncate(to: 5))  // nothing has been overwritten
        try transformer.forward(committed: randomTokens(30), logitRows: [])
        #expect(transformer.canTruncate(to: 44))
        #expect(!transformer.canTruncate(to: 61))
        #expect(transformer.canTruncate(to: 43))
        #expect(!transformer.canTruncate(to: 42))
        #expect(transformer.canTruncate(to: 1))  // sinks only
        transformer.truncate(to: 44)
        #expect(!transformer.canTruncate(to: 30))
        transformer.truncate(to: 1)
        // From there on it is as good as new.
        let tokens = randomTokens(60)
        let direct = try TokenSequence.reference(file, context: 20, sinks: 2, batch: 16)
        let expected = try direct.causalLogits(tokens)
        let got = try transformer.causalLogits(Array(tokens[1...]))
        #expect(largestError(Array(expected[1...]), got) <= 1e-5)
        #expect(transformer.canTruncate(to: 61 - 16))
    }

    @Test("A reset transformer begins anew")
    func reset() async throws {
        let file = try await TinyModel.llama.open()
        let transformer = try TokenSequence.reference(file, context: 20, sinks: 4, batch: 16)
        let tokens = randomTokens(70)
        let first = try transformer.causalLogits(tokens)
        transformer.reset()
        #expect(transformer.position == 0)
        #expect(largestError(first, try transformer.causalLogits(tokens)) == 0)
    }
}

/// A seeded source of small numbers.
struct SmallNumbers {
    var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1 }

    mutating func below(_ bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }
}
