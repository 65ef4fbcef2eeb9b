import Foundation
import TesseraTestSupport
import Testing
import TesseraWeightFile

struct OpenErrorTests {
    @Test func aMissingFileIsToldApart() throws {
        let folder = try TemporaryFolder()
        let error = try #require(failure(folder.file("none.tsr")))
        #expect(error.isMissingFile)
        #expect(error.description.hasSuffix("none.tsr: cannot open: No such file or directory"))
    }

    @Test func aFolderIsRefused() throws {
        let folder = try TemporaryFolder()
        #expect(failure(folder.url.path) == .notAFile(path: folder.url.path))
    }

    @Test func aDeviceIsRefused() {
        #expect(failure("/dev/zero") == .notAFile(path: "/dev/zero"))
    }

    @Test(.enabled(if: getuid() != 0, "root may read everything"))
    func aFileWithoutPermissionIsRefused() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("secret.tsr")
        try TinyModel().write(to: path)
        chmod(path, 0)
        #expect(failure(path) == .system(operation: .open, path: path, code: EACCES))
    }

    @Test func theMessageSaysWhereAndWhatToDo() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("model.tsr")
        try Data("GGUF".utf8 + [UInt8](repeating: 0, count: 500))
            .write(to: URL(fileURLWithPath: path))
        let text = try #require(failure(path)).description
        #expect(text.contains("byte 0: not a Tessera weight file"))
        #expect(text.contains("tessera quantize"))
    }

    private func failure(_ path: String) -> WeightFileError? {
        do throws(WeightFileError) {
            _ = try WeightFile(path: path)
            return nil
        } catch {
            return error
        }
    }
}

struct WriterTests {
    @Test func anAbandonedFileLeavesNothingBehind() throws {
        let folder = try TemporaryFolder()
        do {
            let model = TinyModel()
            let writer = try WeightFileWriter(
                path: folder.file("model.tsr"), config: model.config, tokenizer: model.tokenizer,
                chatTemplate: nil, tensors: model.tensors)
            try writer.append([1, 2, 3])
            #expect(try names(folder).count == 1)
            #expect(try !names(folder).contains("model.tsr"))
        }
        #expect(try names(folder) == [])
    }

    @Test func anOldFileStaysUntilTheNewOneIsComplete() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("model.tsr")
        try TinyModel().write(to: path)
        var model = TinyModel()
        model.source = "second"
        let old = try WeightFile(path: path)
        let writer = try WeightFileWriter(
            path: path, config: model.config, tokenizer: model.tokenizer, chatTemplate: nil,
            tensors: model.tensors, source: model.source)
        for spec in model.tensors { try writer.append(model.bytes(of: spec)) }
        #expect(try WeightFile(path: path).source == "made for tests")
        try writer.finish()
        #expect(try WeightFile(path: path).source == "second")
        // A reader of the old file keeps the old bytes.
        try old.verify()
    }

    @Test func missingAndSurplusBytesAreRefused() throws {
        let folder = try TemporaryFolder()
        let model = TinyModel()
        let path = folder.file("model.tsr")
        let writer = try WeightFileWriter(
            path: path, config: model.config, tokenizer: model.tokenizer, chatTemplate: nil,
            tensors: model.tensors)
        try writer.append(model.bytes(of: model.tensors[0]) + [1, 2, 3])
        #expect(
            throws: WeightFileError.wrongLength(
                path: path, tensor: model.tensors[1].name, expectedBytes: 32, appendedBytes: 3)
        ) { try writer.finish() }
        let rest = model.tensors.reduce(0) {
            $0 + TensorRecord.byteCount(encoding: $1.encoding, rows: $1.rows, columns: $1.columns)
        }
        #expect(throws: WeightFileError.self) {
            try writer.append([UInt8](repeating: 1, count: rest))
        }
    }

    @Test func anInterruptedWriterIsContinued() throws {
        let folder = try TemporaryFolder()
        let path = folder.file("model.tsr")
        let model = GoldenModels.coded(.int8)
        func start(_ key: String) throws -> WeightFileWriter {
            try WeightFileWriter(
                path: path, config: model.config, tokenizer: model.tokenizer,
                chatTemplate: model.chatTemplate, tensors: model.tensors, source: model.source,
                continuing: .init(key: key, interval: 100))
        }
        func finish(_ writer: WeightFileWriter, from tensor: Int, until end: Int) throws {
            for index in tensor..<end { try model.append(model.tensors[index], to: writer) }
        }
        var writer: WeightFileWriter? = try start("a")
        try finish(#require(writer), from: 0, until: 6)
        #expect(throws: WeightFileError.inUse(path: path + ".partial")) { try start("a") }
        writer = nil
        #expect(try names(folder).sorted() == ["model.tsr.journal", "model.tsr.partial"])

        writer = try start("a")
        let position = try #require(writer?.position)
        #expect((3...6).contains(position.tensor) && position.tile == 0)
        try writer?.rewind(to: 2, tile: 0)
        try finish(#require(writer), from: 2, until: model.tensors.count)
        try writer?.finish()
        #expect(try names(folder) == ["model.tsr"])
        #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: path))) == model.fileBytes())
    }

    @Test func whatDoesNotBelongToAnInterruptedWriterIsNotContinued() throws {
        let folder = try TemporaryFolder()
        let model = TinyModel()
        func position(_ key: String, appending count: Int) throws -> Int {
            let writer = try WeightFileWriter(
                path: folder.file("model.tsr"), config: model.config, tokenizer: model.tokenizer,
                chatTemplate: nil, tensors: model.tensors,
                continuing: .init(key: key, interval: 1))
            let position = writer.position.tensor
            for spec in model.tensors[position..<position + count] {
                try writer.append(model.bytes(of: spec))
            }
            return position
        }
        #expect(try position("a", appending: 5) == 0)
        #expect(try position("a", appending: 1) == 5)
        #expect(try position("b", appending: 4) == 0, "made from something else")
        let partial = folder.file("model.tsr.partial")
        var bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: partial)))
        bytes[FileBytes(try model.fileBytes()).tensor(2) + 3] ^= 1
        try Data(bytes).write(to: URL(fileURLWithPath: partial))
        #expect(try position("b", appending: 0) == 2, "the third tensor is damaged")
    }

    @Test func aFileThatIsNotToBeContinuedLeavesNothingBehind() throws {
        let folder = try TemporaryFolder()
        let model = TinyModel()
        let writer = try WeightFileWriter(
            path: folder.file("model.tsr"), config: model.config, tokenizer: model.tokenizer,
            chatTemplate: nil, tensors: model.tensors, continuing: .init(key: "a"))
        try writer.append([1, 2, 3])
        writer.discard()
        #expect(try names(folder) == [])
    }

    @Test func aPlanThatBreaksARuleIsRefusedBeforeAnythingIsWritten() throws {
        let folder = try TemporaryFolder()
        var model = TinyModel()
        model.config.kvHeadCount = 3
        expect(.configShape, model, folder)
        model = TinyModel()
        model.tensors.removeLast()
        expect(.tensorSet, model, folder)
        model = TinyModel()
        model.tokenizer.bosToken = 1 << 40
        expect(.tokenIDs, model, folder)
        model = TinyModel()
        model.config.vocabularySize = 4
        expect(.tokenizerSize, model, folder)
        model = TinyModel()
        model.tensors[0].rows = Int.max
        expect(.tensorShape, model, folder)
        model = TinyModel()
        model.source = String(repeating: "x", count: 2000)
        expect(.configText, model, folder)
        #expect(try names(folder) == [])
    }

    @Test func aFolderThatIsNotThereIsNamed() {
        let model = TinyModel()
        #expect(
            throws: WeightFileError.badPlace(
                path: "/nonexistent/model.tsr", reason: "no such folder: /nonexistent/")
        ) { try model.write(to: "/nonexistent/model.tsr") }
    }

    private func expect(_ rule: ValidationRule, _ model: TinyModel, _ folder: TemporaryFolder) {
        do {
            try model.write(to: folder.file("model.tsr"))
            Issue.record("\(rule) was not noticed")
        } catch {
            #expect((error as? WeightFileError)?.violation?.rule == rule, "\(error)")
        }
    }

    private func names(_ folder: TemporaryFolder) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
    }
}
