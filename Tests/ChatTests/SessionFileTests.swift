import Foundation
import TesseraTestSupport
import Testing

/// `--session`: texts and conversations that outlive the process.
@Suite struct SessionFileTests {
    private let home: Home
    private let questions = [
        "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?",
        "Tom has 12 pens. He loses 5. How many pens are left?", "What is 7 * 8?",
    ]

    init() throws { home = try Home() }

    private func generate(_ options: [String]) throws -> Program.Outcome {
        try home.run(["generate", Models.standard, "--ignore-end"] + options)
    }

    @Test(arguments: [["--temp", "0"], ["--temp", "1.5", "--top-k", "50", "--seed", "7"]])
    func aTextThatWasStoppedGoesOnAsItWould(_ drawing: [String]) throws {
        let file = home.path("text.session")
        let start = ["-p", "Tom has 12 pens."]
        let whole = try generate(start + drawing + ["-n", "40"])
        #expect(whole.status == 0)
        let first = try generate(start + drawing + ["-n", "15", "--session", file])
        #expect(first.status == 0)
        // The seed is the file's.
        let rest = Array(drawing.prefix { $0 != "--seed" })
        let second = try generate(rest + ["-n", "25", "--session", file])
        #expect(second.status == 0)
        #expect(first.output + second.output == whole.output)
        // Further text is added after it, and is all that is computed.
        let third = try generate(
            rest + ["-p", " And Maria?", "-n", "5", "--session", file, "--json"])
        let prompt = try JSONSerialization.jsonObject(with: Data(third.output.utf8))
        let read = (prompt as? [String: Any])?["prompt_tokens"] as? Int
        #expect(read ?? 100 < 10)
    }

    @Test func aConversationGoesOnInAnotherProcess() throws {
        let file = home.path("talk.session")
        func chat(_ lines: [String], _ options: [String] = []) throws -> Program.Outcome {
            try home.run(
                ["chat", Models.standard] + options, input: lines.map { $0 + "\n" }.joined())
        }
        let all = try chat(questions)
        let first = try chat(Array(questions.prefix(2)), ["--session", file])
        let rest = try chat([questions[2]], ["--session", file])
        #expect(first.status == 0 && rest.status == 0)
        #expect(first.output + rest.output == all.output && !rest.output.isEmpty)
        // What was taken back and asked again is drawn as if the process had gone on.
        let drawn = ["--temp", "2", "--seed", "3"]
        let whole = try chat([questions[0], "/retry", "/retry"], drawn)
        let one = home.path("one.session")
        let a = try chat([questions[0], "/retry"], drawn + ["--session", one])
        let b = try chat(["/retry"], ["--temp", "2", "--session", one])
        #expect(a.output + b.output == whole.output)
    }

    @Test func otherFilesAreRefusedAndStay() throws {
        let file = home.path("text.session")
        #expect(try generate(["-p", "Tom", "-n", "3", "--session", file]).status == 0)
        func refused(_ result: Program.Outcome, _ word: String, status: Int32 = 65) -> Bool {
            result.status == status && result.errors.contains(word)
                && result.errors.split(separator: "\n").count == 1
        }
        #expect(refused(try generate(["--kv", "int4", "--session", file]), "--kv int8"))
        #expect(
            refused(
                try home.run(["chat", Models.standard, "--session", file], input: "Hi\n"),
                "generate --session"))
        let talk = home.path("talk.session")
        #expect(
            try home.run(["chat", Models.standard, "--session", talk], input: "Hi\n").status == 0)
        #expect(refused(try generate(["--session", talk]), "chat --session"))
        let notes = try home.write("my notes", to: "notes.txt")
        #expect(refused(try generate(["-p", "x", "--session", notes]), "not a saved session"))
        #expect(try String(contentsOfFile: notes, encoding: .utf8) == "my notes")
        let bytes = try Data(contentsOf: URL(filePath: file))
        try (bytes.prefix(5000) + [1] + bytes.dropFirst(5001)).write(to: URL(filePath: file))
        #expect(refused(try generate(["--session", file]), "damaged"))
        #expect(
            refused(
                try generate(["-p", "x", "-n", "3", "--session", home.path("none/x.session")]),
                "none/x.session", status: 73))
        #expect(refused(try generate(["--chat", "--session", file]), "--session", status: 64))
    }
}
