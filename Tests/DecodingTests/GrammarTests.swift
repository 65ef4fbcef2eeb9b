@testable import TesseraDecoding
import Foundation
import TesseraGrammars
import Testing
import TesseraTokenization
import TesseraWeightFile

/// Texts that follow a grammar, by any way to decode.
@Suite struct GrammarTests {
    private static let pieces = [
        "{\"", "\":", "\": ", "\",", "\"}", "true", "null", "12", "name", "items", "\n  ", "é",
        "[]", "}}", ", \"",
    ]
    /// Ids after the bytes and the pieces: one that ends a text, and the mask.
    private static let (end, mask) = (Int32(256 + pieces.count), 257 + pieces.count)
    private static let schema = """
        {"type": "object", "required": ["name", "items", "state"], "properties": {
        "name": {"type": "string", "maxLength": 6}, "kind": {"enum": ["first kind", "second kind"]},
        "items": {"type": "array", "items": {"type": "integer", "minimum": 10, "maximum": 2500}, "maxItems": 3},
        "state": {"const": "a rather long and forced text"}}}
        """

    private static let tokenizer: Result<Tokenizer, any Error> = Result {
        var tables = TokenizerTables()
        for byte in 0...UInt8.max { tables.tokens.append([byte]) }
        for piece in pieces { tables.tokens.append(Array(piece.utf8)) }
        tables.kinds = Array(repeating: .normal, count: tables.tokens.count)
        tables.tokens.append(Array("<end>".utf8))
        tables.tokens.append(Array("<mask>".utf8))
        tables.kinds += [.special, .unused]
        return try Tokenizer(tables)
    }

    /// Draws hostile drafts: any tokens, now and then the right ones.
    private final class Guesses: DraftSource {
        let name = "guesses"
        private var random: SplitMix
        private let answer: [Int32]
        private let begin: Int

        init(seed: UInt64, answer: [Int32], begin: Int) {
            random = SplitMix(seed: seed)
            (self.answer, self.begin) = (answer, begin)
        }

        func draft(_ request: DraftRequest, into draft: inout Draft) {
            for index in 0..<Int(random.unit() * 12) {
                let place = request.text.count - begin + index
                let isRight = place < answer.count && random.unit() < 0.8
                let token =
                    isRight ? answer[place] : Int32(random.unit() * Double(GrammarTests.mask))
                draft.append(token, Float(random.unit()))
            }
        }
    }

    private struct Run {
        var tokens: [FixedToken]
        var text: String
        var summary: GenerationSummary
    }

    private func run(
        seed: UInt64, temperature: Float, schema: String = schema, limit: Int = 300,
        _ make: (DecodingState) throws -> any TokenDecoder
    ) throws -> Run {
        let tokenizer = try Self.tokenizer.get()
        let model = try ScriptedModel(
            vocabularySize: Self.mask + 1, maskToken: Self.mask, seed: seed)
        let sampler = Sampler(
            sampling(temperature: temperature, seed: seed), vocabularySize: Self.mask + 1,
            forbidden: [Int32(Self.mask)], compute: model.compute)
        let state = DecodingState(model, sampler: sampler, stopTokens: [Self.end])
        let tree = TokenTree(
            tokenizer, vocabularySize: Self.mask + 1, leavingOut: [Int32(Self.mask)])
        let grammar = try TokenGrammar(
            Grammar(schema: schema), tree, tokenizer, endTokens: [Self.end])
        var text = ""
        var generation = Generation(
            try make(state), tokenizer: tokenizer, limit: limit, output: { text += $1 })
        generation.grammar = grammar
        let summary = try generation.run([1, 2, 3])
        #expect(state.history == [1, 2, 3] + summary.tokens.map(\.id))
        return Run(tokens: summary.tokens, text: text, summary: summary)
    }

    private func isValid(_ run: Run) throws -> Bool {
        guard run.summary.stopReason == .endOfText else { return run.summary.stopReason == .length }
        let value = try JSONSerialization.jsonObject(with: Data(run.text.utf8)) as? [String: Any]
        let items = value?["items"] as? [Int] ?? [0]
        let name = value?["name"] as? String ?? "too long a name"
        return value?["state"] as? String == "a rather long and forced text" && items.count <= 3
            && items.allSatisfy { (10...2500).contains($0) } && name.unicodeScalars.count <= 6
    }

    @Test(arguments: [0, 0.8, 3] as [Float]) func draftsChangeThePassesAndNotTheText(
        temperature: Float
    ) throws {
        var ended = 0
        for seed in 1...10 as ClosedRange<UInt64> {
            let plain = try run(seed: seed, temperature: temperature) { NextTokenDecoder($0) }
            #expect(try isValid(plain), "\(plain.text)")
            if plain.summary.stopReason == .endOfText { ended += 1 }
            #expect(plain.summary.forwardPasses == plain.tokens.count)
            let ids = plain.tokens.map(\.id)
            let others = [
                try run(seed: seed, temperature: temperature) {
                    try VerifiedDecoder($0, Planner(largest: 8, isFixed: true))
                },
                try run(seed: seed, temperature: temperature) {
                    try VerifiedDecoder($0, Planner(), source: LookupSource(), largest: 16)
                },
                try run(seed: seed, temperature: temperature) {
                    let guesses = Guesses(seed: seed, answer: ids, begin: 3)
                    return try VerifiedDecoder($0, Planner(), source: guesses, largest: 16)
                },
            ]
            for other in others {
                #expect(other.tokens.map(\.id) == ids, "seed \(seed)")
                #expect(other.tokens.map(\.logProbability) == plain.tokens.map(\.logProbability))
                #expect(other.text == plain.text)
                #expect(other.summary.stopReason == plain.summary.stopReason)
                #expect(other.summary.forwardPasses < ids.count)
            }
        }
        #expect(ended > 5)
    }

    @Test(arguments: [
        RevealRule.firstAndBound(gamma: 4, .entropy), .entropyBound(gamma: 4, .confidence),
        .factor(1.5),
        .confidence(threshold: 0.4),
    ]) func blocksFollowTheGrammar(rule: RevealRule) throws {
        var (passes, tokens) = (0, 0)
        for seed in 1...10 as ClosedRange<UInt64> {
            for temperature in [0, 1] as [Float] {
                let run = try run(seed: seed, temperature: temperature) {
                    try SetBlockDecoder($0, rule: rule, Planner(largest: 8, isFixed: true))
                }
                #expect(try isValid(run), "\(run.text)")
                passes += run.summary.forwardPasses
                tokens += run.tokens.count
            }
        }
        #expect(passes < tokens)
    }

    @Test func forcedTokensCostNoPass() throws {
        let schema = #"{"const": "forced \u0001"}"#
        let run = try run(seed: 1, temperature: 0, schema: schema) {
            try VerifiedDecoder($0, Planner(isFixed: true), source: LookupSource(), largest: 32)
        }
        #expect(run.text == #""forced \u0001""# && run.summary.stopReason == .endOfText)
        #expect(run.summary.forwardPasses == 1)
    }

    @Test func grammarsEndWithTheirGeneration() throws {
        let model = try ScriptedModel(vocabularySize: Self.mask + 1, maskToken: Self.mask)
        let tokenizer = try Self.tokenizer.get()
        let sampler = Sampler(
            sampling(temperature: 0), vocabularySize: Self.mask + 1, forbidden: [],
            compute: model.compute)
        let decoder = NextTokenDecoder(DecodingState(model, sampler: sampler, stopTokens: []))
        let tree = TokenTree(tokenizer, vocabularySize: Self.mask + 1, leavingOut: [])
        var generation = Generation(decoder, tokenizer: tokenizer, limit: 20)
        generation.grammar = try TokenGrammar(
            Grammar(gbnf: "root ::= [0-9]{4}"), tree, tokenizer, endTokens: [])
        let first = try generation.run([1])
        #expect(first.tokens.count == 4 || first.tokens.contains { $0.id == 263 })
        #expect(first.stopReason == .endOfText)
        generation.grammar = nil
        #expect(try generation.run([2]).tokens.count == 20)
    }
}
