import TesseraChat
import TesseraChatTemplates
import TesseraDecoding
import TesseraReporting
import Testing
import TesseraTokenization

@Suite struct ConversationTests {
    /// The same turns for a model with an empty cache.
    private func fresh(_ talk: Talk, _ template: String, context: Int) throws -> Talk {
        let other = try Talk(template, context: context, system: talk.conversation.system)
        var result = other
        result.conversation.replace(with: talk.conversation.turns)
        return result
    }

    @Test(arguments: [Talk.plain, Talk.thinking])
    func answersEqualThoseOfAConversationComputedAnew(_ template: String) throws {
        var talk = try Talk(template, system: "Be brief.")
        for question in ["Tom has 5 pens.", "He buys 3 more.", "How many are left?"] {
            var other = try fresh(talk, template, context: 600)
            let answer = try talk.say(question, count: 12)
            #expect(try other.say(question, count: 12).ids == answer.ids)
            #expect(other.state.history == talk.state.history)
        }
    }

    @Test func onlyWhatIsNewIsComputed() throws {
        var talk = try Talk()
        try talk.say("Tom has 5 pens.")
        let before = talk.model.committed
        let question = try talk.say("He buys 3 more.").question
        // The answer's last token was drawn and not yet committed; the new one's four were.
        #expect(talk.model.committed == before + 1 + question.ids.count + 4)
        #expect(question.ids.count < 20)
    }

    /// However long a thought was that the template leaves out of earlier turns, and though more is
    /// dropped than a batch, nothing before it is computed again.
    @Test func leavingOutAThoughtCostsOnlyWhatDiffers() throws {
        var costs: Set<Int> = []
        for length in [10, 60, 130, 200] {
            var talk = try Talk(Talk.thinking, context: 1000)
            try talk.pretend("x", question: try talk.ask("one two three", limit: 1))
            let thought = Array(repeating: "7", count: length).joined(separator: " ")
            try talk.pretend(
                "\(thought)= yes", question: try talk.ask("four", limit: 1))
            #expect(talk.state.history.count > length)
            let question = try talk.ask("five", limit: 1)
            costs.insert(question.ids.count)
            let all = try talk.format.prompt(talk.conversation.turns).ids
            #expect(talk.state.history + question.ids == all)
        }
        #expect(costs.count == 1 && costs.allSatisfy { $0 < 24 }, "\(costs)")
    }

    @Test func aQuestionWithoutAnAnswerIsTakenBack() throws {
        var talk = try Talk()
        try talk.say("Tom has 5 pens.")
        let turns = talk.conversation.turns
        let question = try talk.ask("A question that is cancelled.", limit: 5)
        let cancelled = Generation(
            NextTokenDecoder(talk.state), tokenizer: talk.format.tokenizer, limit: 5,
            isCancelled: { true })
        let summary = try cancelled.run(question.ids)
        talk.conversation.answer("", summary.tokens)
        #expect(summary.stopReason == .cancelled && talk.conversation.turns == turns)
        var other = try fresh(talk, Talk.plain, context: 600)
        #expect(try other.say("He buys 3.").ids == (try talk.say("He buys 3.").ids))
        #expect(other.state.history == talk.state.history)
    }

    @Test func theOldestQuestionsAreLeftOutAndTheSystemMessageStays() throws {
        let context = 240
        var talk = try Talk(context: context, system: "Be brief and kind.")
        var leftOut = 0
        var computed: [Int] = []
        for number in 0..<20 {
            let question = try talk.say("Question \(number): how many pens?", count: 10).question
            leftOut += question.leftOut
            computed.append(question.ids.count)
            #expect(talk.state.history.count <= context)
            let system = ["system:", "Be brief and kind."].flatMap {
                talk.format.tokenizer.encode($0)
            }
            #expect(talk.state.history.starts(with: system))
        }
        #expect(leftOut >= 10 && talk.conversation.turns.count == 41)
        // Room is made for several questions at once: most find the conversation in the cache.
        #expect(computed.filter { $0 > 50 }.count <= 7, "\(computed)")
    }

    @Test func aMessageThatCannotFitIsRefusedAndTheConversationGoesOn() throws {
        var talk = try Talk(context: 100)
        try talk.say("Tom has 5 pens.")
        let before = (talk.conversation.turns, talk.state.history, talk.model.committed)
        let long = Array(repeating: "pens", count: 200).joined(separator: " ")
        let error = #expect(throws: ConversationError.self) {
            try talk.ask(long, limit: 5)
        }
        #expect(error.map { "\($0)" }?.contains("the context has 100 positions") == true)
        #expect(talk.conversation.turns == before.0 && talk.state.history == before.1)
        #expect(talk.model.committed == before.2)
        let question = try talk.say("He buys 3.").question
        #expect(question.leftOut == 0 && question.ids.count < 20)
    }

    @Test func undoAndRetryTakeTheLastQuestionBack() throws {
        var talk = try Talk(system: "Be brief.")
        try talk.say("Tom has 5 pens.")
        let turns = talk.conversation.turns
        let first = try talk.say("He buys 3.").ids
        #expect(talk.conversation.retry() == "He buys 3." && talk.conversation.turns == turns)
        #expect(talk.conversation.restarts == 1)
        #expect(try talk.say("He buys 3.").ids == first)  // greedy: the same again
        #expect(talk.conversation.undo() == "He buys 3.")
        #expect(talk.conversation.undo() == "Tom has 5 pens.")
        #expect(talk.conversation.undo() == nil)
        #expect(talk.conversation.turns.count == 1 && talk.conversation.system == "Be brief.")
        talk.conversation.system = nil
        #expect(talk.conversation.turns.isEmpty)
        talk.conversation.system = "Be kind."
        talk.conversation.reset()
        #expect(talk.conversation.turns.map(\.message.content) == ["Be kind."])
    }

    @Test func aSavedConversationIsReadWithItsTokens() throws {
        var talk = try Talk(system: "Be brief.")
        try talk.say("Tom has 5 \"pens\".\nAnd?")
        let turns = talk.conversation.turns
        let bytes = Array(ConversationFile.json(turns, model: "a").text.utf8)
        #expect(try ConversationFile.turns(bytes, model: "a", talk.format) == turns)
        let other = try ConversationFile.turns(bytes, model: "b", talk.format)
        #expect(other.map(\.message) == turns.map(\.message))
        #expect(other.allSatisfy { $0.tokens == nil })
        let wrong = String(decoding: bytes, as: UTF8.self)
            .replacing("\"token_ids\": [", with: "\"token_ids\": [87, ")
        let kept = try ConversationFile.turns(Array(wrong.utf8), model: "a", talk.format)
        #expect(kept.allSatisfy { $0.tokens == nil })
        for bad in [
            "", "{}", "[{\"role\": \"tool\", \"content\": \"x\"}]", "[{\"role\": \"user\"}]",
        ] {
            #expect(throws: ConversationFile.Failure.self) {
                try ConversationFile.turns(Array(bad.utf8), model: "a", talk.format)
            }
        }
    }
}

@Suite struct PromptTests {
    @Test func theLastWordsAreKeptAndTheFormStays() {
        var prompt = Prompt(ids: Array(0..<20), words: 3..<15)
        #expect(prompt.keepLast(in: 30, room: 10) == 0)
        #expect(prompt.keepLast(in: 16, room: 4) == 8)
        #expect(prompt.ids == [0, 1, 2] + Array(11..<20) && prompt.words == 3..<7)
        #expect(prompt.keepLast(in: 4, room: 1) == 3)  // one word is kept
        #expect(prompt.ids == [0, 1, 2] + Array(14..<20))
    }
}
