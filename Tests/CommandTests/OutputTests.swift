import Foundation
import TesseraTestSupport
import Testing

/// Where commands write: nothing but plain files is ever replaced, and a place that cannot be written
/// is refused before any work.
@Suite struct OutputTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func quantize(_ output: String, _ options: String...) throws -> Program.Outcome {
        try Program.run(["quantize", Models.folder, "-o", output] + options)
    }

    private func refuses(_ outcome: Program.Outcome, _ status: Int32, _ words: String) {
        #expect(outcome.status == status, "\(outcome.errors)")
        #expect(outcome.errors.contains(words))
        #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    }

    @Test func pipesSocketsAndDevicesStay() throws {
        let pipe = folder.file("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        try refuses(quantize(pipe, "--force"), 73, "is a pipe or a device")
        try refuses(quantize("/dev/null", "--force"), 73, "is a pipe or a device")
        try refuses(quantize("/dev/stdout", "--force"), 73, "is a pipe or a device")
        #expect(try kind(pipe) == .some(S_IFIFO))
        #expect(try kind("/dev/null") == .some(S_IFCHR))
        let socket = folder.file("socket")
        let made = "import socket; socket.socket(socket.AF_UNIX).bind('\(socket)')"
        #expect(try Program.shell("python3 -c \"\(made)\"").status == 0)
        try refuses(quantize(socket, "--force"), 73, "is a socket")
        #expect(folder.names == ["pipe", "socket"])
    }

    private func kind(_ path: String) throws -> mode_t {
        var status = stat()
        #expect(lstat(path, &status) == 0)
        return status.st_mode & S_IFMT
    }

    @Test func placesWhereNoFileCanBeAreRefusedBeforeAnyWork() throws {
        try refuses(quantize("", "--bits", "5"), 73, "the file to write is empty")
        try refuses(quantize(folder.url.path, "--bits", "5", "--force"), 73, "is a folder")
        try refuses(quantize(folder.file("none/x.tsr"), "--bits", "5"), 73, "no such folder")
        let there = try folder.write("mine", to: "there.tsr")
        try refuses(quantize(there, "--bits", "5"), 73, "already exists")
        try refuses(quantize("/proc/x.tsr", "--bits", "5"), 73, "cannot create")
        #expect(try String(contentsOfFile: there, encoding: .utf8) == "mine")
    }

    @Test func aSymbolicLinkIsFollowed() throws {
        let (link, other) = (folder.file("link"), folder.file("other"))
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "old.tsr")
        try FileManager.default.createSymbolicLink(atPath: other, withDestinationPath: link)
        #expect(try quantize(other).status == 0, "a link to a file that is not there yet")
        #expect(try kind(link) == S_IFLNK && kind(other) == S_IFLNK)
        #expect(try Program.run(["verify", folder.file("old.tsr")]).status == 0)
        try FileManager.default.removeItem(atPath: folder.file("old.tsr"))
        try FileManager.default.createSymbolicLink(
            atPath: folder.file("old.tsr"), withDestinationPath: "link")
        try refuses(quantize(link), 73, "Too many levels of symbolic links")
    }

    @Test func whatIsReadIsNotReplaced() throws {
        let model = folder.file("model")
        try FileManager.default.copyItem(atPath: Models.folder, toPath: model)
        let weights = folder.file("model/model.safetensors")
        let before = try Data(contentsOf: URL(filePath: weights))
        try refuses(
            Program.run(["quantize", model, "-o", weights, "--force"]), 64,
            "is read by this command")
        #expect(try Data(contentsOf: URL(filePath: weights)) == before)
        let text = try folder.write(String(repeating: "some words ", count: 100), to: "text")
        let file = folder.file("m.tsr")
        #expect(try quantize(file).status == 0)
        for input in [text, file] {
            try refuses(
                Program.run(["perplexity", file, text, "--write-reference", input]), 64,
                "is read by this command")
        }
        try refuses(Program.run(["profile", file, "--html", file]), 64, "is read by this command")
    }

    @Test func logitsGoIntoFilesAndPipes() throws {
        let file = folder.file("m.tsr")
        #expect(try quantize(file).status == 0)
        let text = try folder.write("One two three four five six seven", to: "text")
        let logits = folder.file("out.logits")
        let command = ["perplexity", file, text, "--write-reference"]
        let run = try Program.run(command + [logits])
        #expect(run.status == 0)
        #expect(run.errors.hasPrefix(logits + ": "), "says the size first: \(run.errors)")
        let whole = try Data(contentsOf: URL(filePath: logits))
        let piped = try Program.shell(
            "\"$T\" perplexity \(file) \(text) --write-reference /dev/stderr 2>&1 >/dev/null | tail -c \(whole.count) | cmp - \(logits)"
        )
        #expect(piped.status == 0, "\(piped.errors)\(piped.output)")
        #expect(try Program.run(command + ["/dev/null"]).status == 0)
        #expect(try kind("/dev/null") == S_IFCHR)
        try refuses(Program.run(command + [folder.file("no/x")]), 73, "no such folder")
        let full = try Program.run(command + ["/dev/full"])
        #expect(full.status == 74 && full.errors.contains("No space left on device"))
        #expect(folder.names == ["m.tsr", "out.logits", "text"])
    }

    /// A limit on the size of files stands for a full disk.
    @Test func aFileThatCannotBeWrittenLeavesNothing() throws {
        let tooLarge = try Program.shell(
            "ulimit -f 8; \"$T\" quantize \(Models.folder) -o \(folder.file("x.tsr"))")
        #expect(tooLarge.status == 73)
        #expect(tooLarge.errors.contains("File too large"))
        #expect(folder.names.isEmpty, "\(folder.names)")
    }
}
