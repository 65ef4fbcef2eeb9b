import Foundation
import TesseraTestSupport
import Testing

/// `--prompt-cache` of `generate`, of its batches, and of `chat`.
@Suite(.timeLimit(.minutes(30))) struct PromptCacheCommandTests {
    private let folder: TemporaryFolder
    private let rules = String(repeating: "Answer in one short sentence. ", count: 10)
    private let questions = [
        "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?",
        "Tom has 12 apples. He eats 5. How many apples does Tom have now?",
    ]

    init() throws { folder = try TemporaryFolder() }

    private var cache: [String] { ["--prompt-cache", folder.file("prompts")] }

    private func files() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.file("prompts"))
    }

    /// Times at which the files were used last.
    private func uses() throws -> [String: Date] {
        Dictionary(
            uniqueKeysWithValues: try files().map {
                let path = folder.file("prompts/\($0)")
                let attributes = try FileManager.default.attributesOfItem(atPath: path)
                return ($0, try #require(attributes[.modificationDate] as? Date))
            })
    }

    /// A text that was longer than a later context gives its beginning.
    @Test func aShorterTextTakesUpALongerOne() throws {
        let start = ["generate", Models.standard, "-p", rules + questions[0], "--temp", "0"]
        let long = try Program.run(start + ["-n", "40"] + cache)
        #expect(long.status == 0 && long.errors.isEmpty)
        let before = try uses()
        let short = try Program.run(start + ["-n", "2"] + cache)
        #expect(short.status == 0 && short.errors.isEmpty && long.output.hasPrefix(short.output))
        #expect(try uses().keys == before.keys)
        #expect(try #require(try uses().values.first) > #require(before.values.first))
    }

    @Test func batchesTakeUpAndKeepWhatTheirLinesBeginWith() throws {
        let lines = try folder.write(
            questions.map { "\(rules)\($0)\n" }.joined(), to: "lines.txt")
        let command = [
            "generate", Models.standard, "--chat", "--temp", "0", "-n", "30", "--batch", lines,
        ]
        func texts(_ run: Program.Outcome) throws -> [String] {
            #expect(run.status == 0 && run.errors.isEmpty, "\(run.errors)")
            return try run.objects().map { try #require($0["text"] as? String) }
        }
        let plain = try texts(Program.run(command))
        #expect(try texts(Program.run(command + cache)) == plain)
        // The second line begins as the first one does.
        #expect(try files().count == 1)
        let before = try uses()
        #expect(try texts(Program.run(command + cache)) == plain)
        #expect(try texts(Program.run(command + cache + ["--parallel", "1"])) == plain)
        #expect(try uses().keys == before.keys)
        #expect(try #require(try uses().values.first) > #require(before.values.first))
        let samples = try Program.run(
            [
                "generate", Models.standard, "--chat", "-p", rules + questions[1], "--samples", "3",
                "-n", "5",
            ] + cache)
        #expect(samples.status == 0)
        #expect(try samples.objects().count == 3)
    }

    @Test func conversationsTakeUpWhatOthersBeganWith() throws {
        let command = ["chat", Models.standard, "--system", rules, "--temp", "0", "-n", "40"]
        let input = questions.map { $0 + "\n" }.joined()
        let plain = try Program.run(command, input: input)
        let first = try Program.run(command + cache, input: input)
        #expect(first.status == 0 && first.output == plain.output && first.errors == plain.errors)
        #expect(try files().count == 1)
        let before = try uses()
        let second = try Program.run(command + cache, input: input)
        #expect(second.output == plain.output && second.errors == plain.errors)
        #expect(try uses() != before)
        // Two conversations in one: the first is kept, though the second is written over it.
        let both = try Program.run(
            command + ["--prompt-cache", folder.file("both")],
            input: input + "/reset\n/system Speak like a pirate.\n\(questions[1])\n")
        #expect(both.status == 0)
        let kept = try FileManager.default.contentsOfDirectory(atPath: folder.file("both"))
        #expect(kept.count == 2)
    }

    @Test func whatGoesWithoutIsRefused() throws {
        for (command, other) in [
            (["generate", Models.standard, "-p", "x"], ["--session", folder.file("s")]),
            (["generate", Models.standard, "-p", "x"], ["--keep-last"]),
            (["chat", Models.standard], ["--session", folder.file("s")]),
        ] {
            let run = try Program.run(command + other + cache)
            #expect(run.status == 64 && run.errors.contains("--prompt-cache cannot be combined"))
        }
    }
}
