public import TesseraWeightFile

/// A model's tokenizer alone, from files that need not hold weights.
public struct VocabularySource: Sendable {
    public let tokenizer: TokenizerTables
    public let chatTemplate: String?

    /// Reads a GGUF file, of one in parts the first, or a Hugging Face folder.
    public init(path: String) throws(ImportError) {
        switch try ModelPlace(path) {
        case .gguf(let parts):
            let gguf = try GGUFFile(path: parts[0])
            tokenizer = try gguf.tokenizerTables(vocabularySize: nil)
            chatTemplate = try gguf.metadata.string("tokenizer.chat_template")
        case .folder(let folder):
            let text = try HuggingFaceTokenizer(folder: folder)
            let config = try Settings.file(folder + "/config.json")
            let generation = try HuggingFaceGeneration(folder: folder)
            var stops = try generation.endTokens()
            if let config { stops += try HuggingFaceConfig(config).endTokens() }
            tokenizer = try text.tables(vocabularySize: nil, endTokens: stops)
            chatTemplate = try text.chatTemplate()
        }
    }
}
