import Foundation
import Synchronization
import TesseraTestSupport
import Tessera
import Testing

/// Beginnings of prompts, kept in a folder for later processes.
@Suite(.timeLimit(.minutes(30))) struct PromptCacheTests {
    private static let rules = String(repeating: "Answer in one short sentence. ", count: 10)
    private static let questions = [
        "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?",
        "Tom has 12 apples. He eats 5. How many apples does Tom have now?",
    ]

    private final class Notes: Sendable {
        let lines = Mutex<[String]>([])
    }

    private static func model(
        _ folder: String?, limit: Int = 1 << 30, answers: Int = 1, notes: Notes = Notes()
    ) async throws -> Model {
        var options = Model.Options()
        (options.threads, options.answers) = (1, answers)
        options.promptCache = folder.map { Model.Options.PromptCache(folder: $0, limit: limit) }
        return try await Model.load(Models.standard, options: options) { note in
            notes.lines.withLock { $0.append(note) }
        }
    }

    private static func ask(_ model: Model, _ index: Int) async throws -> (
        text: String, cached: Int, prompt: Int
    ) {
        let message = Message(role: "user", content: rules + questions[index])
        let answer = model.respond(to: [message], sampling: .greedy)
        let text = try await answer.text()
        let summary = try #require(answer.summary)
        return (text, summary.cachedTokens, summary.promptTokens)
    }

    private static func files(_ folder: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder).map { folder + "/" + $0 }
    }

    @Test func aLaterProcessTakesUpWhatWasRead() async throws {
        let folder = try TemporaryFolder()
        let place = folder.url.appending(path: "prompts").path
        let plain = try await Self.model(nil)
        let expected = [try await Self.ask(plain, 0).text, try await Self.ask(plain, 1).text]
        let first = try await Self.model(place)
        let fresh = try await Self.ask(first, 0)
        #expect(fresh.text == expected[0] && fresh.cached == 0)
        await first.savePrompts()
        #expect(try Self.files(place).count == 1)
        let second = try await Self.model(place, answers: 2)
        // Another conversation that begins alike, then the same one.
        let other = try await Self.ask(second, 1)
        #expect(other.text == expected[1] && other.cached > 40)
        let same = try await Self.ask(second, 0)
        #expect(same.text == expected[0] && same.cached == same.prompt - 1)
        await second.savePrompts()
        #expect(try Self.files(place).allSatisfy { $0.hasSuffix(".prompt") })
    }

    @Test func whatIsDamagedIsRemovedAndNoted() async throws {
        let folder = try TemporaryFolder()
        let place = folder.url.appending(path: "prompts").path
        let first = try await Self.model(place)
        let expected = try await Self.ask(first, 0)
        await first.savePrompts()
        let path = try #require(try Self.files(place).first)
        let whole = try Data(contentsOf: URL(filePath: path))
        for change in 0..<4 {
            var bytes = whole
            switch change {
            case 0: bytes[bytes.count - 50] ^= 1
            case 1: bytes[140] ^= 1
            case 2: bytes = bytes.prefix(bytes.count / 2)
            default: bytes = Data()
            }
            try bytes.write(to: URL(filePath: path))
            let notes = Notes()
            let model = try await Self.model(place, notes: notes)
            let answer = try await Self.ask(model, 0)
            #expect(answer.text == expected.text && answer.cached == 0)
            #expect(notes.lines.withLock { $0.count } == 1)
            await model.savePrompts()
            // Written anew, and right.
            let later = try await Self.ask(Self.model(place), 0)
            #expect(later.cached == expected.prompt - 1 && later.text == expected.text)
        }
    }

    @Test func theFolderStaysWithinItsLimit() async throws {
        let folder = try TemporaryFolder()
        let place = folder.url.appending(path: "prompts").path
        let notes = Notes()
        let model = try await Self.model(place, limit: 1000, notes: notes)
        _ = try await Self.ask(model, 0)
        await model.savePrompts()
        #expect(try Self.files(place).isEmpty)
        // Nowhere to write: noted, and no error.
        let other = try await Self.model("/proc/none", notes: notes)
        let (one, two) = (try await Self.ask(other, 0), try await Self.ask(model, 0))
        #expect(one.text == two.text)
        await other.savePrompts()
        #expect(notes.lines.withLock { $0.contains { $0.hasPrefix("prompt cache: ") } })
    }
}
