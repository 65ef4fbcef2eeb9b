import Foundation
import TesseraTestSupport
import Testing

/// The model argument, and the model that is used without one.
@Suite(.timeLimit(.minutes(30))) struct ModelArgumentTests {
    private static let commands = [
        ["generate", "-p", "x"], ["chat"], ["perplexity", "/dev/null"], ["inspect"], ["verify"],
        ["estimate"], ["profile"],
    ]

    private func run(_ command: [String], _ model: String) throws -> Program.Outcome {
        let run = try Program.run([command[0], model] + command.dropFirst())
        #expect(run.output.isEmpty)
        #expect(run.errors.split(separator: "\n").count == 1, "\(run.errors)")
        return run
    }

    @Test(arguments: commands)
    func otherFormatsAreAnsweredWithTheCommandThatConvertsThem(command: [String]) throws {
        let gguf = try run(command, Models.gguf)
        #expect(gguf.status == 65)
        #expect(gguf.errors.hasSuffix("tessera quantize \(Models.gguf) -o llama.tsr\n"))
        let folder = try run(command, Models.folder)
        #expect(folder.status == 66)
        #expect(folder.errors.hasSuffix("tessera quantize \(Models.folder) -o llama.tsr\n"))
        let name = try run(command, "Qwen/Qwen3-8B")
        #expect(name.status == 66)
        #expect(name.errors.contains("hf download Qwen/Qwen3-8B --local-dir Qwen3-8B"))
    }

    @Test(arguments: commands)
    func aPipeIsRefusedAndNotWaitedFor(command: [String]) throws {
        let folder = try TemporaryFolder()
        #expect(mkfifo(folder.file("pipe"), 0o600) == 0)
        let run = try run(command, folder.file("pipe"))
        #expect(run.status == 66)
        #expect(run.errors.contains("not a regular file"))
    }

    @Test func theDefaultModelIsNotTakenFromStrangers() throws {
        let folder = try TemporaryFolder()
        let bytes = try Data(contentsOf: URL(filePath: Models.standard))
        func say(_ program: String, _ environment: [String: String] = [:]) throws -> Int32 {
            try Program.shell(
                "\(folder.file(program)) generate -p x -n 1", environment: environment
            ).status
        }
        for place in ["bin", "other", "share/tessera", "Sources/tessera/Resources"] {
            try FileManager.default.createDirectory(
                atPath: folder.file(place), withIntermediateDirectories: true)
        }
        for place in ["bin", "other"] {
            try FileManager.default.copyItem(
                atPath: Program.path, toPath: folder.file("\(place)/tessera"))
        }
        for name in ["default.tsr", "other/default.tsr", "Sources/tessera/Resources/default.tsr"] {
            try folder.write(bytes, to: name)
        }
        #expect(try say("bin/tessera") == 66)
        #expect(try say("other/tessera") == 66)
        #expect(try say("other/tessera", ["TESSERA_MODEL": Models.standard]) == 0)
        try folder.write(bytes, to: "share/tessera/default.tsr")
        #expect(try say("bin/tessera") == 0, "an installation's own")
        #expect(try say("other/tessera") == 66)
    }

    @Test func cacheFoldersAreMadeOnlyWhereTheirOwnerHasAHome() throws {
        let folder = try TemporaryFolder()
        // The speed of a file is measured and kept where weights are read in each pass.
        let command = ["generate", Models.standard, "-p", "x", "-n", "2", "--ram", "35M"]
        for name in ["TESSERA_CACHE", "HOME"] {
            let home = folder.file("none/of/it")
            let environment = ["TESSERA_CACHE": ""].merging([name: home]) { $1 }
            #expect(try Program.run(command, environment: environment).status == 0)
            #expect(folder.names.isEmpty, "\(name)")
        }
        let environment = ["TESSERA_CACHE": "", "HOME": folder.url.path]
        #expect(try Program.run(command, environment: environment).status == 0)
        #expect(folder.names == [".cache"])
    }
}
