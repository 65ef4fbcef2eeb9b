package import TesseraChat
package import TesseraGrammars
package import TesseraTokenization
package import TesseraWeightFile

/// A model that can encode prompts: its file is open, its weights are not loaded.
package struct ModelSource: Sendable {
    package let path: String
    package let file: WeightFile
    package let tokenizer: Tokenizer

    /// A chat template in place of the file's own.
    private let chatTemplate: String?

    package init(path: String, chatTemplate: String? = nil) throws {
        self.path = path
        self.chatTemplate = chatTemplate
        file = try WeightFile(path: path)
        if file.config.drafter != nil, let reason = file.config.misfit(as: nil) {
            throw ModelError(.badOption, "'\(path)' \(reason)")
        }
        tokenizer = try Tokenizer(file.tokenizer)
    }

    /// Tokens that end a text.
    package var stopTokens: Set<Int32> { Set(tokenizer.tables.eosTokens.map { Int32($0) }) }

    /// The vocabulary as grammars read it; takes a tenth of a second for a large one.
    package func tokenTree() -> TokenTree {
        TokenTree(
            tokenizer, vocabularySize: file.config.vocabularySize,
            leavingOut: file.tokensWithoutText)
    }

    /// - Throws: ``ModelError`` where the model has no chat template; `TemplateError`.
    package func chatFormat() throws -> ChatFormat {
        guard let template = chatTemplate ?? file.chatTemplate else {
            throw ModelError(
                .noChat,
                "\(path): the model has no chat template; continue plain texts with it")
        }
        return try ChatFormat(template: template, tokenizer: tokenizer)
    }
}
