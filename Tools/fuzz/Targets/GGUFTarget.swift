import TesseraImport
import TesseraTokenization

/// A GGUF file as a model and as a tokenizer.
enum GGUFTarget {
    private static let folder = InputFolder("gguf")

    static func run(_ bytes: [UInt8]) {
        let path = folder.write(bytes, to: "model.gguf")
        SourceCheck.openModel(path)
        SourceCheck.openVocabulary(path)
    }
}

/// A Hugging Face folder. One file comes from the input, the others from the smallest model.
enum FolderTarget {
    private static let mini = Repository.path + "/Tests/ImportTests/Resources/mini"
    private static let shards = [
        "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
    ]
    /// What the first byte chooses from.
    static let others = [
        "config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json",
        "model.safetensors.index.json", "chat_template.jinja", "chat_template.json",
    ]

    private static func folder(_ name: String, _ files: [String]) -> InputFolder {
        let folder = InputFolder(name)
        for file in files { folder.write(InputFolder.read("\(mini)/\(file)"), to: file) }
        return folder
    }

    private static let weights = folder("safetensors", ["config.json", "tokenizer.json"])
    private static let whole = folder(
        "json", ["config.json", "tokenizer.json", "model.safetensors.index.json"] + shards)

    static func run(weights bytes: [UInt8]) {
        weights.write(bytes, to: "model.safetensors")
        SourceCheck.openModel(weights.path)
    }

    static func run(anyOther bytes: [UInt8]) {
        var input = InputBytes(bytes)
        let name = others[input.choice(others.count)]
        let usual = InputFolder.read("\(mini)/\(name)")
        let path = whole.write(input.rest, to: name)
        SourceCheck.openModel(whole.path)
        SourceCheck.openVocabulary(whole.path)
        if usual.isEmpty { InputFolder.remove(path) } else { whole.write(usual, to: name) }
    }
}

/// Opens models of any source and reads them to the end.
enum SourceCheck {
    static func openModel(_ path: String) {
        do throws(ImportError) {
            let source = try TesseraImport.openModel(at: path)
            for tensor in source.tensors { try read(tensor, source) }
        } catch {
            precondition(!error.description.isEmpty)
        }
    }

    static func openVocabulary(_ path: String) {
        do throws(ImportError) {
            let source = try VocabularySource(path: path)
            let count = source.tokenizer.tokens.count
            guard let tokenizer = try? Tokenizer(source.tokenizer) else { return }
            let ids = tokenizer.encode("It's 12 <s>\n\u{1f600}", addBOS: true)
            precondition(ids.allSatisfy { $0 >= 0 && Int($0) < count })
        } catch {
            precondition(!error.description.isEmpty)
        }
    }

    /// The last rows of a tensor, as a conversion reads them at its end: together, one by one, and as codes.
    private static func read(
        _ tensor: SourceTensor, _ source: any TensorSource
    ) throws(ImportError) {
        let rows = max(0, tensor.rows - 3)..<tensor.rows
        var all = [Float](repeating: 0, count: rows.count * tensor.columns)
        try source.read(tensor, rows: rows, into: &all)
        var row = [Float](repeating: 0, count: tensor.columns)
        for (index, number) in rows.enumerated() {
            try source.read(tensor, rows: number..<number + 1, into: &row)
            let same = all[index * tensor.columns..<(index + 1) * tensor.columns]
            precondition(zip(same, row).allSatisfy { $0.bitPattern == $1.bitPattern }, tensor.name)
        }
        guard let blocks = try source.readBlocks(tensor, rows: rows) else { return }
        check(blocks, tensor.type, count: all.count)
    }

    /// Codes fit the bits of their encoding.
    private static func check(_ blocks: SourceBlocks, _ type: SourceType, count: Int) {
        precondition(blocks.codes.count == count && !blocks.scales.isEmpty)
        precondition(blocks.minimums.isEmpty || blocks.minimums.count == blocks.scales.count)
        guard let bits = type.codeEncoding?.codeBits else {
            fatalError("codes of \(type)")
        }
        precondition(blocks.codes.allSatisfy { Int($0) < 1 << bits }, "\(type)")
    }
}
