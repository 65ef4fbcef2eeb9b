import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// Damaged sources give a typed error or a correct load: no crash, no hang, no memory out of
/// proportion. Every byte is changed once and every length is tried once; Tools/fuzz goes further.
@Suite(.timeLimit(.minutes(30))) struct DamageTests {
    @Test func everyChangedByteOfAGGUFFile() throws {
        // Weights follow the metadata, and every value of them is possible.
        try damage(resources.appending(path: "mini.gguf"), in: 0..<7500)
    }

    @Test func everyTruncationOfAGGUFFile() throws {
        try truncate(resources.appending(path: "mini.gguf"), opened: \.self)
    }

    @Test(arguments: ["config.json", "tokenizer.json", "model.safetensors.index.json"])
    func everyChangedByteOfAJSONFile(name: String) throws {
        try withMiniFolder { folder in
            try damage(folder.appending(path: name), in: 0..<Int.max, opened: folder)
        }
    }

    @Test(arguments: [
        "config.json", "tokenizer.json", "model.safetensors.index.json",
        "model-00002-of-00002.safetensors",
    ])
    func everyTruncationOfAFileInAFolder(name: String) throws {
        try withMiniFolder { folder in
            try truncate(folder.appending(path: name)) { $0.deletingLastPathComponent() }
        }
    }

    @Test func everyChangedByteOfASafetensorsHeader() throws {
        try withMiniFolder { folder in
            let name = "model-00002-of-00002.safetensors"
            let file = folder.appending(path: name)
            let length = try Data(contentsOf: file)[0..<2].enumerated()
                .reduce(0) { $0 | Int($1.element) << (8 * $1.offset) }
            try damage(file, in: 0..<8 + length, opened: folder)
        }
    }

    /// Hostile texts for the parser of JSON.
    @Test(arguments: [
        "[*200000", "{\"a\":*100000", "{\"a\": \"\\ud800\"}", "{\"a\": \"\\u00\"}", "nul", "\"",
        "{\"a\" 1}", "{,}", "[1,]", "{\"a\": 1}}", "\u{feff}{}", "{\"a\": 0x10}", "{\"a\": 1e}",
        "{\"a\": --1}", "", "0*100000",
    ])
    func hostileJSON(recipe: String) throws {
        // `x*n` is x, n times: test logs print arguments whole.
        let parts = recipe.split(separator: "*")
        let repeats = parts.count == 2 ? Int(parts[1]) : nil
        var text = repeats.map { String(repeating: String(parts[0]), count: $0) } ?? recipe
        if recipe == "0*100000" { text = "{\"hidden_size\": 1" + text + "}" }
        try withMiniFolder { folder in
            for name in ["config.json", "tokenizer.json", "model.safetensors.index.json"] {
                let path = folder.appending(path: name)
                let kept = try Data(contentsOf: path)
                try Data(text.utf8).write(to: path)
                #expect(throws: ImportError.self) { try openModel(at: folder.path) }
                try kept.write(to: path)
            }
        }
    }

    /// Counts and sizes that a header claims and the file does not have.
    @Test(arguments: [0x7fff_ffff_ffff_ffff, 0xffff_ffff, 1 << 40])
    func claimedSizes(claim: Int) throws {
        let data = try Data(contentsOf: resources.appending(path: "mini.gguf"))
        // Tensor count, metadata count, and the first key's length follow magic and version.
        for offset in [8, 16, 24] {
            var bytes = data
            for index in 0..<8 {
                bytes[offset + index] = UInt8(truncatingIfNeeded: claim >> (8 * index))
            }
            try withFile(bytes) { path in
                #expect(throws: ImportError.self) { try openModel(at: path.path) }
            }
        }
        try withMiniFolder { folder in
            let file = folder.appending(path: "model-00002-of-00002.safetensors")
            var bytes = try Data(contentsOf: file)
            for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: claim >> (8 * index)) }
            try bytes.write(to: file)
            #expect(throws: ImportError.self) { try openModel(at: folder.path) }
        }
    }

    // MARK: - Helpers

    private func withFile(_ bytes: Data, _ body: (URL) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(
            path: "\(UUID().uuidString).gguf")
        try bytes.write(to: path)
        defer { try? FileManager.default.removeItem(at: path) }
        try body(path)
    }

    /// Opens and reads; anything but an `ImportError` fails the test.
    private func load(_ path: String) throws -> Bool {
        do throws(ImportError) {
            let source = try openModel(at: path)
            for tensor in source.tensors {
                var row = [Float](repeating: 0, count: tensor.columns)
                try source.read(tensor, rows: tensor.rows - 1..<tensor.rows, into: &row)
            }
            return true
        } catch {
            #expect(!error.description.isEmpty)
            return false
        }
    }

    /// Changes each byte of a copy in place, a bit here and all of them there.
    private func damage(_ file: URL, in range: Range<Int>, opened folder: URL? = nil) throws {
        let bytes = try Data(contentsOf: file)
        try withFile(bytes) { copy in
            let target = folder == nil ? copy : file
            let handle = try FileHandle(forUpdating: target)
            defer { try? handle.close() }
            var refused = 0
            for index in range.clamped(to: 0..<bytes.count) {
                let mask: UInt8 = index % 3 == 0 ? 0xff : 1 << (index % 8)
                try handle.seek(toOffset: UInt64(index))
                try handle.write(contentsOf: [bytes[index] ^ mask])
                if try !load((folder ?? copy).path) { refused += 1 }
                try handle.seek(toOffset: UInt64(index))
                try handle.write(contentsOf: [bytes[index]])
            }
            #expect(refused > 0)
            #expect(try load((folder ?? copy).path), "the file is as it was")
        }
    }

    /// Tries every length, from the end.
    private func truncate(_ file: URL, opened: (URL) -> URL) throws {
        let bytes = try Data(contentsOf: file)
        try withFile(bytes) { copy in
            let isFolder = opened(file) != file
            let target = isFolder ? file : copy
            let handle = try FileHandle(forUpdating: target)
            defer { try? handle.close() }
            // Lengths inside the weights are all alike.
            for length in (0..<bytes.count).reversed() where length < 8000 || length % 997 == 0 {
                try handle.truncate(atOffset: UInt64(length))
                // Blanks at the end of JSON may go; nothing else may.
                let lost = bytes[length...]
                let blank = lost.allSatisfy { $0 == 0x20 || $0 == 0x0a }
                #expect(try load(opened(target).path) == blank, "\(length) bytes of \(bytes.count)")
            }
        }
    }
}
