internal import ArgumentParser
internal import TesseraGrammars
internal import Tessera

/// The form of the generated text.
struct FormOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Make the text JSON that the JSON Schema in this file accepts.", valueName: "file"),
        completion: .file(extensions: ["json"]))
    var jsonSchema: String?

    @Option(
        help: ArgumentHelp(
            "Make the text follow the grammar in this file, in GBNF as llama.cpp reads it.",
            valueName: "file"), completion: .file())
    var grammar: String?

    func validate() throws {
        guard jsonSchema == nil || grammar == nil else {
            throw ValidationError("give one of --json-schema and --grammar")
        }
    }

    /// The grammar that is asked for; nil if the text may be anything.
    func read() throws -> Grammar? {
        guard let path = jsonSchema ?? grammar else { return nil }
        let text = Input.text(try Input.all(path: path), name: path)
        do throws(GrammarError) {
            return jsonSchema != nil ? try Grammar(schema: text) : try Grammar(gbnf: text)
        } catch {
            throw CommandError(.badData, "\(path): \(error)")
        }
    }
}

/// Grammars over the tokens of a model.
final class TokenGrammars {
    private let source: ModelSource
    private let endTokens: Set<Int32>
    private lazy var tree = source.tokenTree()

    /// - Parameter ignoresEnd: The model does not end a text. The text still ends where nothing can follow.
    init(_ source: ModelSource, ignoresEnd: Bool) {
        self.source = source
        endTokens = ignoresEnd ? [] : source.stopTokens
    }

    func make(_ grammar: Grammar) throws(GrammarError) -> TokenGrammar {
        try TokenGrammar(grammar, tree, source.tokenizer, endTokens: endTokens)
    }
}
