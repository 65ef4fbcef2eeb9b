import TesseraChatTemplates
import TesseraDecoding
import Foundation
import Testing
import TesseraTokenization
import TesseraTransformer
import TesseraWeightFile

/// The model that comes with the program, on problems that it can solve.
@Suite struct DefaultModelTests {
    private static let file = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources/tessera/Resources/default.tsr").standardizedFileURL

    private static let problems = [
        ("Sam has 18 cards. He gets 4 from Paul. How many cards does Sam have now?", "22"),
        (
            "Carl has 16 pens. Hugo has 5 times as many pens as Carl. How many pens does Hugo have?",
            "80"
        ),
        (
            "Liam shares 54 flowers equally among 9 friends. How many flowers does each friend get?",
            "6"
        ),
    ]

    private static func answer(
        _ question: String, isa: String? = nil,
        _ decoder: (DecodingState) throws -> any TokenDecoder
    ) throws -> (text: String, summary: GenerationSummary) {
        let file = try WeightFile(path: file.path)
        let traits = try #require(file.config.blockDecoding)
        var options = Model.Options()
        options.isa = isa
        let transformer = try TokenSequence(file, options: options)
        let tokenizer = try Tokenizer(file.tokenizer)
        let sampler = Sampler(
            SamplingOptions(), vocabularySize: file.config.vocabularySize,
            forbidden: [Int32(traits.maskToken)], compute: transformer.compute)
        let ends = Set(file.tokenizer.eosTokens.map { Int32($0) })
        let state = DecodingState(transformer, sampler: sampler, stopTokens: ends)
        var text = ""
        let generation = Generation(
            try decoder(state), tokenizer: tokenizer, limit: 160,
            output: { _, piece in text += piece })
        let template = try ChatTemplate(parsing: try #require(file.chatTemplate))
        let segments = try template.render(
            [Message(role: "user", content: question)], bosToken: "", eosToken: "")
        let summary = try generation.run(tokenizer.encode(segments))
        return (text, summary)
    }

    @Test(arguments: problems)
    func itSolvesProblems(question: String, answer: String) throws {
        let (text, summary) = try Self.answer(question) { NextTokenDecoder($0) }
        #expect(summary.stopReason == .endOfText)
        #expect(text.hasSuffix("Answer: \(answer)"), "\(text)")
    }

    /// Drafts through masks change nothing but the number of passes.
    @Test(arguments: problems)
    func losslessDecodingGivesTheSameTextInFewerPasses(question: String, answer: String) throws {
        let (text, single) = try Self.answer(question) { NextTokenDecoder($0) }
        for size in [4, 8] {
            let (same, summary) = try Self.answer(question) {
                try VerifiedDecoder($0, Planner(largest: size, isFixed: true))
            }
            #expect(same == text)
            #expect(2 * summary.forwardPasses <= single.forwardPasses)
        }
    }

    /// Blocks are filled in fewer passes still, and mostly right; a block of one is a single token.
    @Test func blocksAreFilledInFewPasses() throws {
        let question = Self.problems[0].0
        let rule = RevealRule.entropyBound(gamma: 0.1, .entropy)
        let (text, single) = try Self.answer(question) { NextTokenDecoder($0) }
        let (one, _) = try Self.answer(question) {
            try SetBlockDecoder($0, rule: rule, Planner(largest: 1, isFixed: true))
        }
        #expect(one == text)
        let (_, eight) = try Self.answer(question) {
            try SetBlockDecoder($0, rule: rule, Planner(largest: 8, isFixed: true))
        }
        #expect(2 * eight.forwardPasses <= single.forwardPasses)
    }
}
