internal import Reporting
public import WeightFile

/// A model's tokenizer alone, from files that need not hold weights.
public struct VocabularySource: Sendable {
    public let tokenizer: TokenizerTables
    public let chatTemplate: String?

    /// Reads a GGUF file or a Hugging Face folder.
    public init(path: String) throws(ImportError) {
        switch fileKind(path) {
        case .file:
            let gguf = try GGUFFile(path: path)
            tokenizer = try gguf.tokenizerTables(vocabularySize: nil)
            chatTemplate = gguf.string("tokenizer.chat_template")
        case .directory:
            let text = try HuggingFaceTokenizer(folder: path)
            let config = try SourceFile.json(path + "/config.json") ?? .object([])
            let generation = try SourceFile.json(path + "/generation_config.json")
            tokenizer = try text.tables(
                vocabularySize: nil, config: config, generation: generation)
            chatTemplate = text.chatTemplate
        case .missing:
            throw .notFound(path: path, wanted: "a .gguf file or a folder with tokenizer.json")
        }
    }
}
