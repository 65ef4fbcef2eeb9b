import Foundation
import TesseraTestSupport
import Testing

/// `tessera chat` fed by another program.
@Suite struct ChatCommandTests {
    private let home: Home
    private let chat = ["chat", Models.standard]
    private let questions = [
        "Maria has 66 cookies. She buys 8 more. How many cookies does Maria have now?",
        "Tom has 12 pens. He loses 5. How many pens are left?", "What is 7 * 8?",
    ]

    init() throws { home = try Home() }

    private func chat(_ lines: [String], _ options: [String] = []) throws -> Program.Outcome {
        try home.run(chat + options, input: lines.map { $0 + "\n" }.joined())
    }

    @Test func aConversationThatIsReadFromAFileGoesOnAsItWould() throws {
        let all = try chat(questions)
        #expect(all.status == 0)
        #expect(all.output.contains("Answer: 74"))
        let file = home.path("talk.json")
        #expect(try chat(questions.dropLast() + ["/save \(file)"]).status == 0)
        #expect(try home.messages("talk.json").count == 4)
        let rest = try chat(["/load \(file)", questions[2]])
        #expect(rest.status == 0 && rest.errors.contains("4 messages read"))
        #expect(all.output.hasSuffix(rest.output) && !rest.output.isEmpty)
    }

    @Test func commandsDoWhatTheySay() throws {
        let file = home.path("talk.json")
        let result = try chat(
            [
                "/system Be brief.", questions[2], "/retry", questions[1], "/undo", "/set seed 5",
                "/set", "/save \(file)", "/system",
            ], ["-n", "60"])
        #expect(result.status == 0)
        #expect(
            try home.messages("talk.json").count == 3
                && home.messages("talk.json")[0] == "Be brief.")
        #expect(try home.messages("talk.json")[1] == questions[2])
        #expect(result.errors.contains("seed 5") && result.errors.contains("max-tokens 60"))
        #expect(result.errors.contains("taken back: Tom has"))
        #expect(result.errors.hasSuffix("Be brief.\n"))
        #expect(try chat([questions[2], "/reset", "/save \(file)"]).status == 0)
        #expect(try home.messages("talk.json").isEmpty)
    }

    @Test func whatIsWrongIsNamedAndTheChatGoesOn() throws {
        let other = try home.write("my work", to: "work.txt")
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
        let file = home.path("talk.json")
        let result = try chat(
            ["one\\", "two\\", "", "//three", "/save \(file)"], ["-n", "1"])
        #expect(result.status == 0)
        #expect(
            try home.messages("talk.json").enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
                == [
                    "one\ntwo\n", "/three",
                ])
        #expect(result.errors.contains("cut at the limit of 1;"))
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
        #expect(try home.run(["chat"], input: "/exit\n").errors.contains("word problems"))
        #expect(try home.run(chat, input: "/exit\n").errors.isEmpty)
    }
}
