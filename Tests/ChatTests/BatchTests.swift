import TesseraChat
import TesseraDecoding
import Testing

@Suite struct BatchTests {
    private func lines(_ text: String) -> [BatchRequest.Line] {
        BatchRequest.lines(Array(text.utf8))
    }

    private func failure(_ line: BatchRequest.Line) -> String? {
        guard case .failure(let error) = line.request else { return nil }
        return error.description
    }

    @Test func linesAreObjectsStringsOrPlainText() throws {
        let lines = lines(
            "\"a \\\"b\\\"\"\n\n  \r\n{\"prompt\": \"c\", \"id\": [7, \"x\"]}\r\n42 apples")
        #expect(lines.map(\.number) == [1, 4, 5])
        #expect(try lines.map { try $0.request.get().prompt } == ["a \"b\"", "c", "42 apples"])
        #expect(lines[0].id == nil && lines[1].id?.text == "[7, \"x\"]")
    }

    @Test func aLineSaysHowItIsToBeAnswered() throws {
        let line = try lines(
            """
            {"prompt": "p", "system": "s", "max_tokens": 3, "temperature": 0.5, "top_p": 0.9, \
            "top_k": 4, "seed": 9, "stop": ["x", "y"]}
            """)[0].request.get()
        let options = line.drawing(SamplingOptions())
        #expect(line.system == "s" && line.maxTokens == 3 && line.stop == ["x", "y"])
        #expect(options.temperature == 0.5 && options.topP == 0.9 && options.topK == 4)
        #expect(options.seed == 9)
        var base = SamplingOptions()
        (base.temperature, base.seed) = (0.3, 5)
        let plain = try lines("{\"prompt\": \"p\", \"stop\": \"z\"}")[0].request.get()
        #expect(plain.drawing(base) == base && plain.stop == ["z"])
    }

    @Test(arguments: [
        ("{\"prompt\": \"x\"", "not JSON"), ("[1]", "object with a \"prompt\""),
        ("{\"promt\": \"x\"}", "no \"prompt\""), ("{\"prompt\": 1}", "no \"prompt\""),
        ("{\"prompt\": \"x\", \"maxtokens\": 1}", "\"maxtokens\" is not known"),
        ("{\"prompt\": \"x\", \"max_tokens\": -1}", "\"max_tokens\" is not a whole number"),
        ("{\"prompt\": \"x\", \"max_tokens\": 1.5}", "\"max_tokens\" is not a whole number"),
        ("{\"prompt\": \"x\", \"temperature\": \"hot\"}", "\"temperature\" is not a number"),
        ("{\"prompt\": \"x\", \"temperature\": -1}", "temperature of -1"),
        ("{\"prompt\": \"x\", \"top_p\": 2}", "top-p 2"),
        ("{\"prompt\": \"x\", \"stop\": [1]}", "\"stop\" is not a string or a list"),
        ("{\"prompt\": \"x\", \"seed\": -3}", "\"seed\" is not a whole number"),
    ])
    func whatALineCannotMeanIsNamed(_ text: String, _ reason: String) throws {
        let line = try #require(lines(text).first)
        #expect(try #require(failure(line)).contains(reason))
    }

    @Test func sequencesHaveSeedsOfTheirOwn() {
        var options = SamplingOptions()
        options.seed = 5
        let seeds = (0..<100).map { options.forSequence($0).seed }
        #expect(seeds[0] == 5 && Set(seeds).count == 100)
        #expect(seeds.dropFirst().allSatisfy { $0 < 1 << 53 })
        #expect(seeds == (0..<100).map { options.forSequence($0).seed })
    }
}
