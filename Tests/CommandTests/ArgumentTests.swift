import Foundation
import TesseraTestSupport
import Testing

/// Wrong arguments are named, and what may have been meant.
@Suite struct ArgumentTests {
    private func problem(_ arguments: String...) throws -> String {
        let run = try Program.run(arguments)
        #expect(run.status == 64, "\(arguments): \(run.errors)")
        #expect(run.output.isEmpty)
        let lines = run.errors.split(separator: "\n")
        #expect(lines.count == 1, "\(run.errors)")
        return lines.first.map(String.init) ?? ""
    }

    @Test func unknownOptionsAreNamed() throws {
        let typing = try problem("generate", "--promt", "hi")
        #expect(typing.hasPrefix("tessera: unknown option '--promt'; did you mean '--prompt'?"))
        #expect(typing.hasSuffix("See 'tessera generate --help'"))
        #expect(
            try problem("generate", "m.tsr", "-c", "256").contains("'-c'; did you mean '--ctx'?"))
        #expect(try problem("chat", "--ctx-size=256").contains("did you mean '--ctx'?"))
        #expect(try problem("generate", "--top_k", "3", "-p", "x").contains("'--top-k'?"))
        #expect(try problem("generate", "-m", "x.tsr", "-p", "x").contains("without an option"))
        #expect(try problem("quantize", "m.gguf", "--outptu", "x").contains("'--output'?"))
        #expect(try problem("verify", "x", "--quux").contains("unknown option '--quux'; see"))
        #expect(try problem("bogus").contains("bogus"))
    }

    @Test func negativeNumbersAreValues() throws {
        #expect(try problem("generate", "-n", "-1", "-p", "x").contains("-n takes 0 or more"))
        #expect(try problem("generate", "--temp", "-1", "-p", "x").contains("choose 0 or more"))
        #expect(try problem("generate", "--top-k", "-3", "-p", "x").contains("0 is off"))
        #expect(try problem("generate", "-t", "-2", "-p", "x").contains("1 to 1024"))
        #expect(try problem("perplexity", "m", "f", "-n", "-5").contains("1 or more"))
    }

    @Test func textsMayBeginWithADash() throws {
        let run = try Program.run(["tokenize", Models.standard, "-p", "- a list", "--json"])
        let expected = try Program.run(
            ["tokenize", Models.standard, "-", "--json"], input: "- a list")
        #expect(run.status == 0 && run.output == expected.output && !run.output.isEmpty)
    }

    @Test func whatIsNotUTF8IsNamed() throws {
        let run = try Program.shell("$T tokenize model.tsr -p $'caf\\xe9 \\x01'")
        #expect(run.status == 64 && run.output.isEmpty)
        #expect(
            run.errors.hasPrefix("tessera: argument 4, 'caf\\xe9 \\x01', is not valid UTF-8"),
            "\(run.errors)")
        #expect(try Program.shell("$T $'\\xff'").status == 64)
        #expect(try Program.shell("$T tokenize \(Models.standard) -p 'é'").status == 0)
    }
}
