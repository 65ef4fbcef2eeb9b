import Foundation
import TesseraKernels
import Testing
import TesseraTransformer
import TesseraWeightFile

/// Texts that outlive the process, with their cache.
@Suite struct SavingTests {
    private let folder = FileManager.default.temporaryDirectory.appending(path: "saving-\(UUID())")

    private func path(_ name: String) throws -> String {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder.appending(path: name).path
    }

    private func sequence(
        _ file: WeightFile, context: Int = 64, batch: Int = 16,
        cache: KVLayer.Encoding = .int8
    ) throws -> TokenSequence {
        var options = Model.Options()
        (options.contextLength, options.batchCapacity) = (context, batch)
        (options.kvEncoding, options.threads) = (cache, 1)
        return try TokenSequence(file, options: options)
    }

    private func tokens(_ count: Int, from first: Int = 0) -> [Int32] {
        (first..<first + count).map { Int32(($0 * 37 + 11) % 300) }
    }

    /// The last row of logits after some tokens, as bits.
    private func logits(_ sequence: TokenSequence, _ tokens: [Int32]) throws -> [UInt32] {
        try sequence.forward(committed: tokens, logitRows: [tokens.count - 1])
        return (0..<sequence.config.vocabularySize).map { sequence.logits[$0].bitPattern }
    }

    /// Each cache encoding, and a model whose layers see windows that the text has outgrown.
    @Test(arguments: KVLayer.Encoding.allCases, ["llama", "families/gemma3"])
    func whatFollowsIsWhatWouldHaveFollowed(
        _ cache: KVLayer.Encoding, _ model: String
    ) async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = try await TinyModel.open(model, .init())
        for count in [1, 5, 33, 50] {
            let first = try sequence(file, cache: cache)
            _ = try logits(first, tokens(count))
            let path = try path("\(count).session")
            try first.save(
                tokens(count) + [7], seed: 99, restarts: 3, conversation: [1, 2], to: path)
            let saved = try SavedText(path: path)
            #expect(saved.content.tokens == tokens(count) + [7])
            #expect(saved.content.committed == count && saved.content.seed == 99)
            #expect(saved.content.restarts == 3 && saved.content.conversation == [1, 2])
            let second = try sequence(file, cache: cache)
            try second.restore(saved, path: path)
            #expect(second.position == count)
            for step in 0..<3 {
                let next = tokens(4, from: 100 + 4 * step)
                #expect(try logits(first, next) == logits(second, next))
            }
            #expect(try SavedText(path: path).content == saved.content)
        }
    }

    /// A shorter context takes the beginning, in place of another text.
    @Test(arguments: KVLayer.Encoding.allCases, ["llama", "families/gemma3"])
    func aPartOfTheTextIsTaken(_ cache: KVLayer.Encoding, _ model: String) async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = try await TinyModel.open(model, .init())
        let first = try sequence(file, context: 64, cache: cache)
        _ = try logits(first, tokens(50))
        let path = try path("long.session")
        try first.save(tokens(50), seed: 1, to: path)
        let saved = try SavedText(path: path)
        for count in [0, 1, 17, 32] {
            let other = try sequence(file, context: 40, cache: cache)
            _ = try logits(other, tokens(9, from: 40))
            // What a window has left is of no use for an earlier position.
            guard other.canRestore(saved.content, upTo: count) else {
                #expect(model != "llama")
                continue
            }
            try other.restore(saved, upTo: count, path: path)
            #expect(other.position == count)
            let plain = try sequence(file, context: 40, cache: cache)
            if count > 0 { _ = try logits(plain, tokens(count)) }
            #expect(try logits(other, tokens(5, from: 70)) == logits(plain, tokens(5, from: 70)))
        }
        let short = try sequence(file, context: 40, cache: cache)
        #expect(!short.canRestore(saved.content, upTo: 50))
    }

    @Test func aLongerContextTakesTheText() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = try await TinyModel.llama.open()
        let first = try sequence(file, context: 40)
        _ = try logits(first, tokens(20))
        let path = try path("short.session")
        try first.save(tokens(20), seed: 1, to: path)
        let longer = try sequence(file, context: 128)
        try longer.restore(try SavedText(path: path), path: path)
        #expect(try logits(longer, tokens(5)) == logits(first, tokens(5)))
    }

    @Test func textsThatDoNotFitAreRefusedByName() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let file = try await TinyModel.llama.open()
        let first = try sequence(file)
        _ = try logits(first, tokens(30))
        let path = try path("text.session")
        try first.save(tokens(30), seed: 1, to: path)
        let saved = try SavedText(path: path)
        func refusal(_ other: TokenSequence) -> String {
            do {
                try other.restore(saved, path: path)
                return ""
            } catch {
                return error.description
            }
        }
        let stranger = try sequence(try await TinyModel.qwen3.open())
        #expect(refusal(stranger).contains("another model"))
        #expect(try refusal(sequence(file, cache: .int4)).contains("--kv int8"))
        #expect(try refusal(sequence(file, context: 20)).contains("--ctx"))
        // A text that has outgrown its context is not saved, and the earlier file stays.
        _ = try logits(first, tokens(60))
        #expect(throws: SavedTextError.self) { try first.save(tokens(90), seed: 1, to: path) }
        #expect(try SavedText(path: path).content == saved.content)
    }

    @Test func damageIsFound() async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let first = try sequence(try await TinyModel.llama.open())
        _ = try logits(first, tokens(9))
        let path = try path("text.session")
        try first.save(tokens(9), seed: 1, conversation: Array("{}".utf8), to: path)
        let bytes = try Data(contentsOf: URL(filePath: path))
        let other = try self.path("damaged.session")
        func error(_ data: Data) throws -> SavedTextError? {
            try data.write(to: URL(filePath: other))
            do {
                _ = try SavedText(path: other)
                return nil
            } catch {
                return error
            }
        }
        #expect(try error(bytes) == nil)
        for index in Array(0..<400) + Array(stride(from: 400, to: bytes.count, by: 97)) {
            var changed = bytes
            changed[index] ^= 0x10
            #expect(try error(changed) != nil, "byte \(index)")
        }
        for count in [0, 1, 100, 127, 128, 200, bytes.count - 1] {
            #expect(try error(bytes.prefix(count)) != nil, "\(count) bytes")
        }
        #expect(try error(bytes + [0]) != nil)
        #expect(try error(Data("hello".utf8)) == .notSaved(path: other))
    }

    /// Files whose checksums are right and that no run of this program wrote.
    @Test(arguments: KVLayer.Encoding.allCases)
    func forgedTextsAreRefused(_ cache: KVLayer.Encoding) async throws {
        defer { try? FileManager.default.removeItem(at: folder) }
        let first = try sequence(try await TinyModel.llama.open(), cache: cache)
        _ = try logits(first, tokens(9))
        let path = try path("text.session")
        try first.save(tokens(9), seed: 1, to: path)
        let saved = try SavedText(path: path)
        let bytes = saved.cache.byteCount
        let other = try self.path("forged.session")
        func isTaken(
            cacheByte: UInt8 = 0, _ change: (inout SavedText.Content) -> Void = { _ in }
        ) throws -> Bool {
            var content = saved.content
            change(&content)
            let forged = [UInt8](repeating: cacheByte, count: bytes)
            try SavedText.write(content, to: other, cacheBytes: bytes) {
                append throws(WeightFileError) in try append(forged.span.bytes)
            }
            let second = try TokenSequence(first.workspace)
            do {
                try second.restore(try SavedText(path: other), path: other)
                return true
            } catch {
                #expect(second.position == 0 && error.description.contains(other))
                return false
            }
        }
        #expect(try isTaken())
        // Scales or values that are no numbers.
        #expect(try !isTaken(cacheByte: 0xff))
        // Tokens that the model does not have.
        #expect(try !isTaken { $0.tokens[3] = 1 << 20 })
        #expect(try !isTaken { $0.tokens[3] = -1 })
        // Positions that the cache does not hold.
        #expect(try !isTaken { $0.committed = 8 })
        #expect(try !isTaken { $0.rings[0].slots -= 1 })
        #expect(try !isTaken { $0.rings[0].oldestHeld += 1 })
        #expect(try !isTaken { $0.rings[0].slots = .min })
    }
}
