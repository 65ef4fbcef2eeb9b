import Foundation
import TesseraTestSupport
import Testing

/// `tokenize` and `perplexity` as a user runs them.
@Suite(.timeLimit(.minutes(30))) struct TextCommandTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    @Test func tokenizePrintsIdsAndTexts() throws {
        let run = try Program.run(["tokenize", Models.standard, "-p", "What is 7 * 8?"])
        #expect(run.status == 0 && run.errors.isEmpty)
        let lines = run.output.split(separator: "\n").map { $0.split(separator: "\t") }
        #expect(lines.allSatisfy { $0.count == 2 && Int($0[0]) != nil })
        let json = try Program.run(["tokenize", Models.standard, "-p", "What is 7 * 8?", "--json"])
        let object = try #require(json.objects().first)
        #expect(object["ids"] as? [Int] == lines.compactMap { Int($0[0]) })
        #expect((object["tokens"] as? [String])?.joined() == "What is 7 * 8?")
    }

    @Test func tokenizeTakesOneText() throws {
        let none = try Program.run(["tokenize", Models.standard, "-p", "a", "-"], input: "b")
        #expect(none.status == 64)
        let file = try folder.write("a b", to: "text")
        let named = try Program.run(["tokenize", Models.standard, "-f", file])
        let piped = try Program.run(["tokenize", Models.standard, "-"], input: "a b")
        #expect(named.status == 0 && named.output == piped.output && !named.output.isEmpty)
        #expect(try Program.run(["tokenize", Models.standard, "-f", "/none"]).status == 66)
    }

    /// A model's own formats will do for `tokenize`.
    @Test(arguments: [Models.folder, Models.gguf])
    func tokenizeReadsOtherFormats(model: String) throws {
        let run = try Program.run(["tokenize", model, "-p", "one two"])
        #expect(run.status == 0 && !run.output.isEmpty)
    }

    /// Texts that are no UTF-8 are read with U+FFFD, and this is said.
    @Test func bytesThatAreNoTextAreNamed() throws {
        let broken = try folder.write(Data("one two \u{e9}".utf8.dropLast()), to: "broken")
        let note = "note: \(broken): byte 8 is not UTF-8; such bytes become U+FFFD\n"
        #expect(try Program.run(["tokenize", Models.standard, "-f", broken]).errors == note)
        let perplexity = try Program.run(["perplexity", Models.standard, broken])
        #expect(perplexity.status == 0 && perplexity.errors == note)
        let generate = try Program.run(["generate", Models.standard, "-f", broken, "-n", "1"])
        #expect(generate.status == 0 && generate.errors == note)
        let whole = try folder.write("caf\u{e9} \u{FFFD} \u{1F642}", to: "whole")
        #expect(try Program.run(["tokenize", Models.standard, "-f", whole]).errors.isEmpty)
    }

    @Test func perplexityOfAModelAndOfAnother() throws {
        let text = try folder.write("Maria has 66 cookies. She buys 8 more.", to: "text")
        let (model, logits) = (folder.file("m.tsr"), folder.file("logits"))
        #expect(
            try Program.run(["quantize", Models.folder, "-o", model, "--bits", "32"]).status == 0)
        let first = try Program.run(
            ["perplexity", model, text, "--write-reference", logits, "--json"])
        let score = try #require(first.objects().first)
        #expect(first.status == 0)
        #expect(try #require(score["perplexity"] as? Double) > 1)
        let bytes = try Data(contentsOf: URL(filePath: logits)).count
        let tokens = try #require(score["tokens"] as? Int)
        #expect(bytes == 20 + 4 * (tokens + 1) + 4 * tokens * 320)
        let same = try Program.run(["perplexity", model, "--reference", logits, "--json"])
        let compared = try #require(same.objects().first)
        #expect(compared["top1_agreement"] as? Double == 1)
        #expect(try #require(compared["mean_kl"] as? Double) < 1e-6)
        let other = try Program.run(["perplexity", Models.standard, "--reference", logits])
        #expect(other.status == 65 && other.errors.contains("logits of 320 tokens"))
        let fewer = try Program.run(["perplexity", model, text, "-n", "3", "--json"])
        #expect(try #require(fewer.objects().first)["tokens"] as? Int == 3)
    }

    @Test func damagedReferencesAreRefused() throws {
        let huge = Data("TSRLOGIT".utf8) + [1, 0, 0, 0] + [UInt8](repeating: 255, count: 8)
        let cases = [
            (Data(), "ends too early"),
            (Data("hello, this is a text".utf8), "not a file of logits"),
            (huge, "20 bytes, but"),
        ]
        for (bytes, words) in cases {
            let path = try folder.write(bytes, to: "r")
            let run = try Program.run(["perplexity", Models.standard, "--reference", path])
            #expect(run.status == 65)
            #expect(run.errors.contains(words), "\(run.errors)")
        }
        #expect(try Program.run(["perplexity", Models.standard]).status == 64)
        let short = try folder.write("a", to: "short")
        #expect(try Program.run(["perplexity", Models.standard, short, "-n", "0"]).status == 64)
        let run = try Program.run(["perplexity", Models.standard, try folder.write("", to: "none")])
        #expect(run.status == 65 && run.errors.contains("fewer than two tokens"))
    }

    /// A long generation ends at a token, with the text so far.
    @Test(arguments: [SIGINT, SIGTERM])
    func aSignalEndsAGeneration(number: Int32) throws {
        let run = try Program.start(
            ["generate", Models.standard, "-p", "x", "-n", "100000", "--ignore-end"])
        #expect(run.wait { run.output.count > 20 })
        run.send(signal: number)
        let outcome = try run.outcome()
        #expect(outcome.status == 128 + number)
        #expect(outcome.output.count > 20)
    }
}
