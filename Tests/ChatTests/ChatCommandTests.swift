import Foundation
import Testing

/// `tessera chat` fed by another program.
@Suite struct ChatCommandTests {
    private let program: Program
    private let chat = ["chat", Program.defaultModel]
    private let questions = [
        "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?",
        "Tom has 12 pens. He loses 5. How many pens are left?", "What is 7 * 8?",
    ]

    init() throws { program = try Program() }

    private func chat(_ lines: [String], _ options: [String] = []) throws -> Program.Result {
        try program.run(chat + options, input: lines.map { $0 + "\n" }.joined())
    }

    private func messages(_ path: String) throws -> [String] {
        let value = try JSONSerialization.jsonObject(with: Data(contentsOf: URL(filePath: path)))
        let messages = (value as? [String: Any])?["messages"] as? [[String: Any]] ?? []
        return messages.map { $0["content"] as? String ?? "" }
    }

    @Test func aConversationThatIsReadFromAFileGoesOnAsItWould() throws {
        let all = try chat(questions)
        #expect(all.status == 0)
        #expect(all.output.contains("Answer: 74"))
        let file = program.path("talk.json")
        #expect(try chat(questions.dropLast() + ["/save \(file)"]).status == 0)
        #expect(try messages(file).count == 4)
        let rest = try chat(["/load \(file)", questions[2]])
        #expect(rest.status == 0 && rest.errors.contains("4 messages read"))
        #expect(all.output.hasSuffix(rest.output) && !rest.output.isEmpty)
    }

    @Test func commandsDoWhatTheySay() throws {
        let file = program.path("talk.json")
        let result = try chat(
            [
                "/system Be brief.", questions[2], "/retry", questions[1], "/undo", "/set seed 5",
                "/set", "/save \(file)", "/system",
            ], ["-n", "60"])
        #expect(result.status == 0)
        #expect(try messages(file).count == 3 && messages(file)[0] == "Be brief.")
        #expect(try messages(file)[1] == questions[2])
        #expect(result.errors.contains("seed 5") && result.errors.contains("max-tokens 60"))
        #expect(result.errors.contains("taken back: Tom has"))
        #expect(result.errors.hasSuffix("Be brief.\n"))
        #expect(try chat([questions[2], "/reset", "/save \(file)"]).status == 0)
        #expect(try messages(file).isEmpty)
    }

    @Test func whatIsWrongIsNamedAndTheChatGoesOn() throws {
        let other = try program.write("my work", to: "work.txt")
        let result = try chat([
            "/frob", "/save", "/save \(other)", "/load \(other)", "/set top-p 3", "/set frob 1",
            "/exit now", questions[2],
        ])
        #expect(result.status == 65 && !result.output.isEmpty)
        let errors = result.errors.split(separator: "\n")
        let reasons = [
            "there is no command '/frob'", "/save needs", "exists", "not a saved conversation",
            "top-p 3", "no setting 'frob'", "/exit takes nothing",
        ]
        #expect(errors.count == reasons.count)
        for (error, reason) in zip(errors, reasons) { #expect(error.contains(reason)) }
        #expect(try String(contentsOfFile: other, encoding: .utf8) == "my work")
    }

    @Test func aBackslashGoesOnInTheNextLineAndTwoSlashesBeginAMessage() throws {
        let file = program.path("talk.json")
        let result = try chat(
            ["one\\", "two\\", "", "//three", "/save \(file)"], ["-n", "1"])
        #expect(result.status == 0)
        #expect(
            try messages(file).enumerated().filter { $0.offset % 2 == 0 }.map(\.element) == [
                "one\ntwo\n", "/three",
            ])
        #expect(result.errors.contains("cut after 1 tokens"))
    }

    @Test func messagesThatDoNotFitAreRefusedAndOldOnesLeftOut() throws {
        let long = (0..<75).map { "Tom has \($0) pens." }.joined(separator: " ")
        let result = try chat([long] + questions + questions, ["--ctx", "150", "-n", "20"])
        #expect(result.status == 65)
        #expect(result.errors.contains("the context has 150 positions; send a shorter message"))
        #expect(result.errors.contains("left out"))
        #expect(result.output.split(separator: "\n").count >= 6)
    }

    @Test func theModelThatComesWithTheProgramIsNamed() throws {
        #expect(try program.run(["chat"], input: "/exit\n").errors.contains("word problems"))
        #expect(try program.run(chat, input: "/exit\n").errors.isEmpty)
    }
}
