/// The place of a model that a path names: a file, one of several parts, or a folder.
enum ModelPlace {
    /// A Hugging Face folder.
    case folder(String)
    /// A GGUF file, or all parts of one in order. Parts may be missing.
    case gguf([String])

    init(_ path: String) throws(ImportError) {
        switch fileKind(path) {
        case .directory: self = try Self.inFolder(path)
        case .file:
            if path.hasSuffix(".safetensors") || path.hasSuffix(".json") {
                throw .unsupported(
                    path: path, what: "a single file of a Hugging Face model",
                    advice: "name the folder that holds config.json")
            }
            self = .gguf(Self.parts(of: path))
        case .missing: throw Self.missing(path)
        }
    }

    private static func inFolder(_ folder: String) throws(ImportError) -> ModelPlace {
        let names = try fileNames(in: folder)
        let files = names.filter { $0.hasSuffix(".gguf") }
        let isHuggingFace = names.contains("config.json") || names.contains("tokenizer.json")
        guard !isHuggingFace, let first = files.first else { return .folder(folder) }
        let set = ShardName(first)?.all ?? [first]
        guard files.allSatisfy(set.contains) else {
            throw .unsupported(
                path: folder, what: "a folder of \(files.count) GGUF files (\(first), ...)",
                advice: "name one of them")
        }
        return .gguf(set.map { folder + "/" + $0 })
    }

    private static func parts(of path: String) -> [String] {
        let slash = path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex
        guard let shard = ShardName(String(path[slash...])) else { return [path] }
        return shard.all.map { path[..<slash] + $0 }
    }

    private static func missing(_ path: String) -> ImportError {
        let wanted = "a .gguf file or a Hugging Face folder"
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let owner = parts.first, let name = parts.last, !name.isEmpty,
            !owner.isEmpty, !owner.hasPrefix("."), !name.hasSuffix(".gguf")
        else { return .notFound(path: path, wanted: wanted) }
        return .notFound(
            path: path,
            wanted: wanted + "; download a model of Hugging Face first, for example with "
                + "'hf download \(path) --local-dir \(name)'")
    }
}
