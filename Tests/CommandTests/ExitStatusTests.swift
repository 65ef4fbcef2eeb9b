import Foundation
import TesseraTestSupport
import Testing

/// Every command ends with the status of sysexits.h that fits, and says why in one line.
@Suite struct ExitStatusTests {
    @Test(arguments: [
        "generate", "chat", "perplexity", "tokenize", "inspect", "estimate", "verify",
    ])
    func aModelThatIsNotThere(command: String) throws {
        let text = command == "perplexity" ? ["/dev/null"] : []
        let run = try Program.run([command, "/nonexistent.tsr"] + text)
        #expect(run.status == 66)
        #expect(run.output.isEmpty)
        #expect(run.errors.contains("/nonexistent.tsr"))
        #expect(run.errors.split(separator: "\n").count == 1)
    }

    @Test func helpAndVersionAreResults() throws {
        for arguments in [["--help"], ["--version"], ["quantize", "--help"]] {
            let run = try Program.run(arguments)
            #expect(run.status == 0 && !run.output.isEmpty && run.errors.isEmpty)
        }
    }
}
