internal import TesseraGrammars

/// The form that the text of an answer must have.
public enum AnswerFormat: Sendable, Equatable {
    /// Anything.
    case text
    /// A JSON object.
    case json
    /// JSON that a schema accepts; the schema as JSON text.
    case schema(String)
    /// A text that follows a grammar in GBNF, the form of llama.cpp.
    case grammar(String)

    /// - Returns: Nil where the text may be anything.
    /// - Throws: `badOption` where the schema or grammar is not supported, with the place.
    func grammar() throws(ModelError) -> AnswerGrammar? {
        do throws(GrammarError) {
            switch self {
            case .text: return nil
            case .json: return AnswerGrammar(key: "json", grammar: try .json())
            case .schema(let schema):
                return AnswerGrammar(key: "schema \(schema)", grammar: try Grammar(schema: schema))
            case .grammar(let source):
                return AnswerGrammar(key: "grammar \(source)", grammar: try Grammar(gbnf: source))
            }
        } catch {
            throw ModelError(.badOption, error.description)
        }
    }
}

/// The grammar of an answer, and a key by which it is found again.
struct AnswerGrammar: Sendable {
    var key: String
    var grammar: Grammar
}

/// Grammars that an engine has used lately, with their states and masks.
struct GrammarCache {
    private var known: [(key: String, grammar: TokenGrammar)] = []
    private var tree: TokenTree?
    private static let (most, mostBytes) = (16, 128 << 20)

    mutating func grammar(
        _ asked: AnswerGrammar, _ source: ModelSource
    ) throws(ModelError) -> TokenGrammar {
        if let place = known.firstIndex(where: { $0.key == asked.key }) {
            let entry = known.remove(at: place)
            known.append(entry)
            makeRoom()
            return entry.grammar
        }
        makeRoom()
        let tree = tree ?? source.tokenTree()
        self.tree = tree
        do throws(GrammarError) {
            let made = try TokenGrammar(
                asked.grammar, tree, source.tokenizer, endTokens: source.stopTokens)
            if known.count == Self.most { known.removeFirst() }
            known.append((asked.key, made))
            return made
        } catch {
            throw ModelError(.badOption, error.description)
        }
    }

    /// Forgets grammars that were not used for longest, until the others have learned no more than they may.
    private mutating func makeRoom() {
        var bytes = known.reduce(0) { $0 + $1.grammar.byteCount }
        while bytes > Self.mostBytes, known.count > 1 {
            bytes -= known.removeFirst().grammar.byteCount
        }
    }
}
