internal import Grammars

/// What the text of an answer must be.
public enum AnswerFormat: Sendable, Hashable {
    /// Anything.
    case text
    /// A JSON object.
    case json
    /// What a JSON Schema accepts; the schema as JSON.
    case schema(String)
    /// What a grammar in GBNF, the form of llama.cpp, makes.
    case grammar(String)

    /// - Returns: Nil where the text may be anything.
    /// - Throws: `badOption` where the schema or grammar is not supported, with the place.
    func grammar() throws(ModelError) -> Grammar? {
        do throws(GrammarError) {
            switch self {
            case .text: return nil
            case .json: return try .json()
            case .schema(let schema): return try Grammar(schema: schema)
            case .grammar(let grammar): return try Grammar(gbnf: grammar)
            }
        } catch {
            throw ModelError(.badOption, error.description)
        }
    }
}

/// Grammars that an engine has read lately, with what it has learned of them.
struct GrammarCache {
    private var known: [(format: AnswerFormat, grammar: TokenGrammar)] = []
    private var tree: TokenTree?
    private static let most = 16

    /// - Parameter grammar: Of the format.
    mutating func grammar(
        _ format: AnswerFormat, _ grammar: Grammar, _ source: ModelSource
    ) throws(ModelError) -> TokenGrammar {
        if let place = known.firstIndex(where: { $0.format == format }) {
            let entry = known.remove(at: place)
            known.append(entry)
            return entry.grammar
        }
        let tree = tree ?? source.tokenTree()
        self.tree = tree
        do throws(GrammarError) {
            let made = try TokenGrammar(
                grammar, tree, source.tokenizer, endTokens: source.stopTokens)
            if known.count == Self.most { known.removeFirst() }
            known.append((format, made))
            return made
        } catch {
            throw ModelError(.badOption, error.description)
        }
    }
}
