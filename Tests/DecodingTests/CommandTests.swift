import Foundation
import TesseraTestSupport
import Testing

/// `tessera generate` as a user runs it, on the tiny published checkpoints and the default model.
@Suite(.serialized) struct DecodingCommandTests {
    private static let folder = FileManager.default.temporaryDirectory
        .appending(path: "tessera-commands-\(UUID().uuidString)")

    private static func tessera(_ arguments: [String]) throws -> Program.Outcome {
        try Program.run(
            arguments, environment: ["TESSERA_CACHE": folder.appending(path: "cache").path])
    }

    private static func objects(_ text: String) throws -> [[String: Any]] {
        try text.split(separator: "\n").map {
            try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
        }
    }

    private static func generate(_ model: String, _ options: [String]) throws -> [String: Any] {
        let arguments =
            ["generate", model, "--temp", "0", "-n", "24", "--ignore-end", "--json"] + options
        let result = try tessera(arguments)
        #expect(result.status == 0, "\(arguments)")
        return try #require(try objects(result.output).first)
    }

    private static func ids(_ object: [String: Any]) -> [Int] {
        object["token_ids"] as? [Int] ?? []
    }

    @Test(arguments: PublishedCheckpoint.allCases)
    func publishedCheckpointsDecodeInEveryModeTheyHave(_ model: PublishedCheckpoint) throws {
        try FileManager.default.createDirectory(
            at: Self.folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: Self.folder) }
        let file = Self.folder.appending(path: model.rawValue + ".tsr").path
        let source = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "Resources/\(model.rawValue)").path
        #expect(
            try Self.tessera(["quantize", source, "-o", file, "--bits", "32"]).status == 0)
        let prompt = ["-p", "One two three"]
        let plain = try Self.generate(file, prompt + ["--block-size", "1"])
        #expect(plain["tokens_per_pass"] as? Double == 1 && plain["block_size"] as? Int == 1)
        let modes = [
            ["--threshold", "0.9"], ["--gamma", "0.1"], ["--gamma", "2", "--paper-rule"], [],
        ]
        for mode in modes {
            let blocks = try Self.generate(file, prompt + mode)
            #expect(Self.ids(blocks).count == 24)
            #expect(try #require(blocks["tokens_per_pass"] as? Double) > 0.5)
            #expect(blocks["verified"] as? Bool == false)
        }
        let isCausal = model == .nemotron
        for size in ["4", "auto"] {
            let options = prompt + ["--verify", "--block-size", size]
            guard isCausal else {
                #expect(try Self.tessera(["generate", file, "-n", "4"] + options).status != 0)
                continue
            }
            let verified = try Self.generate(file, options)
            #expect(verified["verified"] as? Bool == true)
            #expect(Self.ids(verified) == Self.ids(plain), "size \(size)")
        }
    }

    @Test func blocksOfAModelWithoutAMaskTokenAreAnError() throws {
        try FileManager.default.createDirectory(
            at: Self.folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: Self.folder) }
        let file = Self.folder.appending(path: "maskless.tsr").path
        let source = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../TransformerTests/Resources/llama").path
        #expect(try Self.tessera(["quantize", source, "-o", file]).status == 0)
        let options = ["generate", file, "-p", "One", "-n", "3"]
        let refused = try Self.tessera(options + ["--block-size", "8"])
        #expect(refused.status == 64 && refused.output.isEmpty)
        #expect(try Self.tessera(options + ["--gamma", "0.3"]).status == 64)
        #expect(try Self.tessera(options + ["--block-size", "1"]).status == 0)
        #expect(try Self.tessera(options).status == 0)
    }

    @Test func draftsLeaveTheTextAsItIs() throws {
        try FileManager.default.createDirectory(
            at: Self.folder, withIntermediateDirectories: true)
        let file = Self.folder.appending(path: "drafts.tsr").path
        #expect(try Self.tessera(["quantize", Models.folder, "-o", file]).status == 0)
        let prompt = ["-p", "One two three one two three one two", "--seed", "3", "-n", "60"]
        for drawing in [["--temp", "0"], ["--temp", "0.9", "--repeat-penalty", "1.2"]] {
            let options = prompt + drawing + ["--ignore-end", "--json"]
            func answer(_ draft: [String]) throws -> [String: Any] {
                let result = try Self.tessera(["generate", file] + options + draft)
                #expect(result.status == 0, "\(result.errors)")
                return try #require(try result.objects().first)
            }
            let off = try answer(["--draft", "off"])
            #expect(off["draft_source"] is NSNull && off["acceptance"] is NSNull)
            #expect(off["forward_passes"] as? Int == 60)
            for draft in [
                [], ["--draft", "auto"], ["--draft", "lookup"],
                ["--draft", "lookup", "--block-size", "3"],
            ] {
                let answer = try answer(draft)
                #expect(
                    Self.ids(answer) == Self.ids(off)
                        && answer["text"] as? String == off["text"] as? String)
                #expect(answer["draft_source"] as? String == "lookup")
                #expect(answer["verified"] as? Bool == true)
                let drafted = try #require(answer["drafted_tokens"] as? Int)
                let accepted = try #require(answer["accepted_tokens"] as? Int)
                #expect(accepted <= drafted)
                if drafted > 0 {
                    let share = try #require(answer["acceptance"] as? Double)
                    #expect(abs(share - Double(accepted) / Double(drafted)) < 1e-12)
                }
            }
        }
    }

    @Test func aSecondModelDrafts() throws {
        try FileManager.default.createDirectory(
            at: Self.folder, withIntermediateDirectories: true)
        let file = Self.folder.appending(path: "target.tsr").path
        let small = Self.folder.appending(path: "drafter.tsr").path
        #expect(
            try Self.tessera(["quantize", Models.folder, "-o", file, "--bits", "8"]).status == 0)
        #expect(
            try Self.tessera(["quantize", Models.folder, "-o", small, "--bits", "4"]).status == 0)
        let options = ["generate", file, "-p", "One", "-n", "40", "--ignore-end", "--json"]
        for drawing in [["--temp", "0"], ["--temp", "0.9", "--seed", "4"]] {
            func answer(_ draft: String) throws -> [String: Any] {
                let result = try Self.tessera(options + drawing + ["--draft", draft])
                #expect(result.status == 0, "\(result.errors)")
                return try #require(try result.objects().first)
            }
            let off = try answer("off")
            for path in [file, small] {
                let drafted = try answer(path)
                #expect(Self.ids(drafted) == Self.ids(off))
                #expect(drafted["draft_source"] as? String == path)
            }
        }
        let other = try Self.tessera(options + ["--draft", Models.standard])
        #expect(other.status == 64 && other.output.isEmpty)
        #expect(other.errors.contains("default.tsr") && other.errors.contains("tokens"))
        let missing = try Self.tessera(options + ["--draft", "/nowhere/small.tsr"])
        #expect(missing.status != 0 && missing.errors.contains("/nowhere/small.tsr"))
    }

    @Test func aModelWithMasksCanLookUpToo() throws {
        let options = ["generate", Models.standard, "--chat", "-p", "What is 7 * 8?", "--json"]
        var ids: [[Int]] = []
        for draft in ["off", "masks", "lookup", "auto"] {
            let result = try Self.tessera(options + ["--draft", draft])
            let answer = try #require(try result.objects().first)
            ids.append(Self.ids(answer))
            let source = draft == "auto" ? "masks" : draft
            #expect(answer["draft_source"] as? String == (draft == "off" ? nil : source))
        }
        #expect(Set(ids).count == 1 && !ids[0].isEmpty)
    }

    @Test func draftsThatCannotBeAreErrors() throws {
        try FileManager.default.createDirectory(
            at: Self.folder, withIntermediateDirectories: true)
        let file = Self.folder.appending(path: "refused.tsr").path
        #expect(try Self.tessera(["quantize", Models.folder, "-o", file]).status == 0)
        for options in [
            ["--draft", "masks"], ["--draft", "guess"], ["--draft", "off", "--block-size", "4"],
            ["--draft", "lookup", "--block-size", "1"], ["--draft", "lookup", "--gamma", "0.1"],
        ] {
            let result = try Self.tessera(["generate", file, "-p", "One", "-n", "3"] + options)
            #expect(result.status == 64 && result.output.isEmpty, "\(options)")
            #expect(result.errors.contains("--draft"), "\(result.errors)")
        }
    }

    @Test(arguments: ["rans", "trellis"])
    func codedWeightsAreMadeVerifiedAndRun(codec: String) throws {
        try FileManager.default.createDirectory(
            at: Self.folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: Self.folder) }
        let source = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../TransformerTests/Resources/llama").path
        let file = Self.folder.appending(path: "coded.tsr").path
        let command = ["quantize", source, "-o", file, "--bits", "5.5", "--codec", codec]
        #expect(try Self.tessera(command).status == 0)
        #expect(try Self.tessera(["verify", file]).status == 0)
        let tensors = try Self.tessera(["inspect", file, "--json", "--tensors"])
        #expect(tensors.output.contains(codec))
        let options = ["generate", file, "-p", "One", "-n", "20", "--temperature", "0"]
        let said = try Self.tessera(options)
        #expect(said.status == 0 && !said.output.isEmpty)
        let refused = try Self.tessera(
            ["quantize", source, "-o", "/dev/null/x", "--bits", "16", "--codec", codec])
        #expect(refused.status == 64)
    }

    @Test func aBatchGivesWhatSingleRunsGiveAndATraceNamesEveryToken() throws {
        let model = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../Sources/tessera/Resources/default.tsr").standardizedFileURL.path
        let questions = ["What is 7 * 8?", "Tom has 5 \"pens\".\nHe loses 2. How many are left?"]
        try FileManager.default.createDirectory(
            at: Self.folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: Self.folder) }
        let file = Self.folder.appending(path: "batch.jsonl").path
        let lines = [
            try JSONEncoder().encode(questions[0]),
            try JSONEncoder().encode(["prompt": questions[1]]),
        ]
        try Data(lines.joined(separator: Data("\n".utf8))).write(to: URL(filePath: file))
        let options = ["generate", model, "--chat", "--block-size", "8", "--trace"]
        let batch = try Self.tessera(options + ["--batch", file])
        #expect(batch.status == 0)
        let answers = try Self.objects(batch.output)
        #expect(answers.count == 2)
        for (question, answer) in zip(questions, answers) {
            let single = try Self.objects(
                try Self.tessera(options + ["--json", "-p", question]).output)[0]
            #expect(Self.ids(answer) == Self.ids(single) && !Self.ids(answer).isEmpty)
            let blocks = try #require(answer["trace"] as? [[String: Any]])
            let passes = blocks.flatMap { $0["passes"] as? [[String: Any]] ?? [] }
            let reveals = passes.flatMap { $0["reveals"] as? [[String: Any]] ?? [] }
            let kept = reveals.filter { $0["kept"] as? Bool == true }
            #expect(passes.count == answer["forward_passes"] as? Int)
            #expect(kept.map { $0["id"] as? Int } == Self.ids(answer))
            #expect(reveals.allSatisfy { $0["entropy"] is Double })
        }
        try Data("\"fine\"\n{\"promt\": 1}\n".utf8).write(to: URL(filePath: file))
        #expect(try Self.tessera(options + ["--batch", file]).status == 65)
        #expect(try Self.tessera(options + ["--batch", file, "-p", "x"]).status == 64)
    }
}
