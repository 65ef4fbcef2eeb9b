import Foundation
import TesseraTestSupport
import Testing

/// `tessera generate`: contexts, ways of drawing, and batches, as a user meets them.
@Suite struct GenerateTests {
    private let home: Home
    private let generate = ["generate", Models.standard, "--block-size", "1"]
    /// Some 300 tokens.
    private let long = (0..<75).map { "Tom has \($0) pens." }.joined(separator: " ")

    init() throws { home = try Home() }

    private func object(_ arguments: [String], input: String = "") throws -> [String: Any] {
        let result = try home.run(generate + arguments + ["--json"], input: input)
        #expect(result.status == 0, "\(arguments): \(result.errors)")
        return try #require(try result.objects().first)
    }

    private func numbers(_ object: [String: Any], _ names: String...) -> [Int] {
        names.map { object[$0] as? Int ?? -1 }
    }

    @Test func theContextIsAsLongAsPromptAndAnswerNeed() throws {
        let result = try object(["-p", long, "-n", "40", "--ignore-end"])
        let prompt = try #require(result["prompt_tokens"] as? Int)
        #expect(prompt > 200)
        #expect(
            numbers(result, "context_used", "context_limit", "context_dropped")
                == [prompt + 40, prompt + 40, 0])
    }

    @Test func aPromptThatDoesNotFitIsRefusedWithBothNumbers() throws {
        let arguments = generate + ["-p", long, "--ctx", "100"]
        let result = try home.run(arguments)
        #expect(result.status == 65 && result.output.isEmpty)
        #expect(result.errors.contains("tokens, and the context has 100 positions"))
        #expect(result.errors.contains("--ctx") && result.errors.contains("--keep-last"))
        #expect(result.errors.split(separator: "\n").count == 1)
        let wide = try home.run(generate + ["-p", "Tom", "--ctx", "100000"])
        #expect(wide.status == 64 && wide.output.isEmpty)
        #expect(wide.errors.contains("the model knows"))
    }

    @Test func theBeginningIsDroppedWhenAskedFor() throws {
        let arguments = ["-p", long, "--ctx", "100", "--keep-last", "-n", "20", "--ignore-end"]
        let result = try object(arguments)
        let all = try #require(try object(["-p", long, "-n", "0"])["prompt_tokens"] as? Int)
        #expect(
            numbers(result, "prompt_tokens", "context_used", "context_limit", "context_dropped")
                == [80, 100, 100, all - 80])
        let said = try home.run(generate + arguments).errors
        #expect(said.contains("\(all - 80) of the prompt's \(all) tokens were dropped"))
    }

    @Test func aFullContextEndsTheTextAndSaysSo() throws {
        let arguments = ["-p", "Tom has 5 pens.", "--ctx", "40", "-n", "100", "--ignore-end"]
        let full = try object(arguments)
        #expect(full["stop_reason"] as? String == "context")
        #expect(numbers(full, "context_used", "context_limit", "context_dropped") == [40, 40, 0])
        #expect(
            try home.run(generate + arguments).errors.contains("context of 40 positions is full")
        )
        let slid = try object(arguments + ["--keep-last"])
        #expect(slid["stop_reason"] as? String == "length")
        let prompt = try #require(slid["prompt_tokens"] as? Int)
        #expect(
            numbers(slid, "context_used", "context_dropped") == [40, prompt + 100 - 40])
    }

    @Test func optionsWithoutEffectAreNamed() throws {
        let drawn = try home.run(generate + ["-p", "Tom", "-n", "1", "--top-p", "0.5"])
        #expect(drawn.status == 0 && drawn.errors.contains("--top-p has no effect"))
        let warm = try home.run(
            generate + ["-p", "Tom", "-n", "1", "--top-p", "0.5", "--temp", "1"])
        #expect(warm.status == 0 && warm.errors.isEmpty)
        let risk = try home.run(generate + ["-p", "Tom", "-n", "1", "--gamma", "0.1"])
        #expect(risk.status == 0 && risk.errors.contains("--gamma: no effect"))
    }

    @Test func anyNumberOfTokensMayBeAskedFor() throws {
        let result = try object(["--chat", "-p", "What is 7 * 8?", "-n", "\(Int.max)"])
        #expect(result["stop_reason"] as? String == "end_of_text")
    }

    @Test func aSeedIsReportedAsGiven() throws {
        let arguments = ["-p", "Tom", "-n", "1", "--temp", "1", "--seed", "18446744073709551615"]
        let result = try home.run(generate + arguments + ["--json"])
        #expect(result.output.contains("\"seed\": 18446744073709551615"))
    }

    @Test func theLastLineEndOfAFileIsNotText() throws {
        let text = "Tom has 5 pens.\n\nHe"
        let file = try home.write(text + "\n", to: "text")
        let given = numbers(try object(["-p", text, "-n", "0"]), "prompt_tokens")
        #expect(numbers(try object(["-f", file, "-n", "0"]), "prompt_tokens") == given)
        #expect(
            numbers(try object(["-", "-n", "0"], input: text + "\r\n"), "prompt_tokens") == given)
        let two = numbers(try object(["-", "-n", "0"], input: text + "\n\n"), "prompt_tokens")
        #expect(two[0] > given[0])
    }

    @Test func aBatchAnswersEveryLineAndNamesTheBadOnes() throws {
        let file = try home.write(
            """
            {"prompt": "Tom has 5 pens.", "id": "a", "max_tokens": 3}

            Tom has 5 pens.
            {"prompt": "", "id": "c"}
            {"prompt": "Tom", "temprature": 1}
            {"prompt": "\(long)", "id": 9}
            """, to: "batch")
        let arguments = ["--batch", file, "-n", "5", "--ignore-end", "--ctx", "60"]
        let result = try home.run(generate + arguments)
        #expect(result.status == 65 && result.errors.contains("3 of 5 lines"))
        let answers = try result.objects()
        #expect(answers.map { $0["index"] as? Int } == [0, 1, 2, 3, 4])
        #expect(answers[0]["id"] as? String == "a" && answers[4]["id"] as? Int == 9)
        #expect(answers[1]["id"] == nil)
        #expect(answers[..<2].map { $0["generated_tokens"] as? Int } == [3, 5])
        let errors = answers[2...].map { $0["error"] as? String ?? "" }
        #expect(errors[0] == "line 4: the prompt is empty; give at least one token")
        #expect(errors[1] == "line 5: \"temprature\" is not known here")
        #expect(errors[2].hasPrefix("line 6: the prompt has "))
    }

    @Test func linesOfABatchAreDrawnApartAndCanBeMadeAgain() throws {
        let question = "{\"prompt\": \"Tom has\"}\n"
        let file = try home.write(String(repeating: question, count: 4), to: "batch")
        let drawing = ["-n", "12", "--temp", "3", "--ignore-end"]
        let result = try home.run(generate + drawing + ["--batch", file, "--seed", "7"])
        let answers = try result.objects()
        let ids = answers.map { $0["token_ids"] as? [Int] ?? [] }
        #expect(Set(ids).count == 4 && answers[0]["seed"] as? Int == 7)
        for answer in answers {
            let seed = try #require(answer["seed"] as? Int)
            let single = try object(drawing + ["-p", "Tom has", "--seed", "\(seed)"])
            #expect(single["token_ids"] as? [Int] == answer["token_ids"] as? [Int])
        }
    }

    @Test(arguments: ["0", "1"])
    func textsDoNotDependOnHowManyShareAPass(temperature: String) throws {
        let names = ["Tom", "Ann", "Carl", "Eva", "Hugo", "Sam", "Liam"]
        let lines = names.enumerated().map { index, name in
            index == 4 ? "{\"prompt\": 1}" : "\(name) has \(index + 2) pens. He gets \(index) more."
        }
        let file = try home.write(lines.joined(separator: "\n"), to: "batch")
        func answers(_ parallel: String) throws -> [[String: Any]] {
            let result = try home.run(
                generate + [
                    "--batch", file, "-n", "20", "--temp", temperature, "--seed", "5", "--parallel",
                    parallel,
                ])
            #expect(result.status == 65)
            return try result.objects()
        }
        let expected = try answers("1")
        #expect(expected.count == 7 && expected[4]["error"] != nil)
        for parallel in ["3", "16", "auto"] {
            let got = try answers(parallel)
            #expect(got.map { $0["index"] as? Int } == Array(0..<7))
            #expect(got.map { $0["seed"] as? Int } == expected.map { $0["seed"] as? Int })
            #expect(
                got.map { $0["token_ids"] as? [Int] } == expected.map { $0["token_ids"] as? [Int] })
            #expect(got.map { $0["text"] as? String } == expected.map { $0["text"] as? String })
        }
    }

    @Test func samplesAreAnswersToOneTextEachDrawnByItself() throws {
        let drawing = ["-p", "Tom has", "-n", "12", "--temp", "3", "--ignore-end", "--seed", "7"]
        let result = try home.run(generate + drawing + ["--samples", "5"])
        let answers = try result.objects()
        #expect(result.status == 0 && answers.map { $0["index"] as? Int } == Array(0..<5))
        #expect(Set(answers.map { $0["token_ids"] as? [Int] ?? [] }).count == 5)
        let single = try object(drawing)
        #expect(single["token_ids"] as? [Int] == answers[0]["token_ids"] as? [Int])
        for wrong in [["--samples", "0"], ["--samples", "2", "--jsonl"], ["--parallel", "0"]] {
            #expect(try home.run(generate + drawing + wrong).status == 64)
        }
        let empty = try home.run(generate + ["-p", "", "--samples", "3"])
        #expect(empty.status == 64 && empty.output.isEmpty)
    }
}
