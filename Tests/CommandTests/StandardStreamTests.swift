import Foundation
import TesseraTestSupport
import Testing

/// Standard output or standard error that cannot be written.
@Suite(.timeLimit(.minutes(30))) struct StandardStreamTests {
    private let folder: TemporaryFolder
    private let model: String

    init() throws {
        folder = try TemporaryFolder()
        model = folder.file("m.tsr")
        #expect(try Program.run(["quantize", Models.folder, "-o", model]).status == 0)
    }

    /// Notes next to the result may be lost; the work is not.
    @Test(arguments: ["2>&-", "2>/dev/full", "2> >(true)", "2> >(head -c 1 >/dev/null)"])
    func workGoesOnWithoutStandardError(redirection: String) throws {
        let output = folder.file("out.tsr")
        let run = try Program.shell(
            "\"$T\" quantize \(Models.folder) -o \(output) --bits 5 \(redirection)")
        #expect(run.status == 0)
        #expect(try Program.run(["verify", output]).status == 0)
    }

    @Test(arguments: [
        ["inspect", "--json"], ["verify"], ["tokenize", "-p", "x"],
        ["generate", "-p", "One", "-n", "3", "--temp", "0", "--ignore-end"],
    ])
    func aLostResultIsAnError(command: [String]) throws {
        let words = ([command[0], model] + command.dropFirst()).joined(separator: " ")
        let full = try Program.shell("\"$T\" \(words) >/dev/full")
        #expect(full.status == 74)
        #expect(full.errors == "tessera: standard output: No space left on device\n")
        let closed = try Program.shell("\"$T\" \(words) >&-")
        #expect(closed.status == 74)
        #expect(closed.errors == "tessera: standard output: Bad file descriptor\n")
    }

    @Test func aReaderThatLeavesEndsTheProgramQuietly() throws {
        let run = try Program.shell(
            "\"$T\" generate \(model) -p One -n 4000 --ignore-end | head -c 1; echo \" ${PIPESTATUS[0]}\""
        )
        #expect(run.output.hasSuffix(" 141\n"), "\(run.output)")
        #expect(run.errors.isEmpty)
        let help = try Program.shell("\"$T\" generate --help >/dev/full")
        #expect(help.status == 74)
    }

    /// A closed stream's number goes to no other file.
    @Test func closedStreamsAreNotMistakenForFiles() throws {
        let output = folder.file("out.tsr")
        let run = try Program.shell(
            "\"$T\" quantize \(Models.folder) -o \(output) <&- >&- 2>&-; echo $?")
        #expect(run.output == "0\n")
        #expect(try Program.run(["verify", output]).status == 0)
    }

    /// Files half written are removed wherever the program ends.
    @Test func aLostResultLeavesNoFiles() throws {
        let text = try folder.write("One two three four five six seven", to: "text")
        let run = try Program.shell(
            "\"$T\" perplexity \(model) \(text) --write-reference \(folder.file("r")) >/dev/full")
        #expect(run.status == 74)
        #expect(folder.names == ["m.tsr", "r", "text"])
    }
}
