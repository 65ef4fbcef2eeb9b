import TesseraGrammars
import TesseraTokenization
import TesseraWeightFile

/// A grammar or a schema of strangers, and a text that follows it: the first byte chooses the kind; bytes after one of
/// 255 choose the tokens.
enum GrammarTarget {
    /// All bytes are tokens, so that any allowed text can be spelled.
    private static let vocabulary: (tree: TokenTree, tokenizer: Tokenizer, end: Int32) = {
        let path = "\(Repository.path)/Sources/tessera/Resources/default.tsr"
        guard let file = try? WeightFile(path: path), let tokenizer = try? Tokenizer(file.tokenizer)
        else { fatalError("no tokenizer") }
        let size = file.tokenizer.tokens.count
        let end = Int32(size - 1)
        return (TokenTree(tokenizer, vocabularySize: size, leavingOut: [end]), tokenizer, end)
    }()
    private static let most = 60

    static func run(_ bytes: [UInt8]) {
        var input = InputBytes(bytes)
        let isSchema = input.choice(2) == 1
        let parts = input.rest.split(separator: 255, maxSplits: 1, omittingEmptySubsequences: false)
        let source = String(decoding: parts.first ?? [], as: UTF8.self)
        do throws(GrammarError) {
            let grammar = try isSchema ? Grammar(schema: source) : Grammar(gbnf: source)
            try follow(grammar, InputBytes(Array(parts.count > 1 ? parts[1] : [])))
        } catch {
            precondition(!error.description.isEmpty)
        }
    }

    /// Any allowed token may be taken, and there is always one or the end.
    private static func follow(
        _ grammar: Grammar, _ choices: InputBytes
    ) throws(GrammarError) {
        let (tree, tokenizer, end) = vocabulary
        let tokens = try TokenGrammar(grammar, tree, tokenizer, endTokens: [end])
        var (choices, state) = (choices, tokens.start)
        for _ in 0..<most {
            let mask = try tokens.mask(state)
            precondition(mask.count > 0 || tokens.isComplete(state), "a dead end")
            for guess in try tokens.forced(state).prefix(1) {
                precondition(
                    guess.chance < 1 || mask.contains(guess.token), "a forced token is refused")
            }
            guard mask.count > 0 else { return }
            var wanted = choices.byte() << 8 | choices.byte()
            wanted %= mask.count
            let all = 0..<Int32(mask.words.count * 64)
            let token = all.lazy.filter(mask.contains).dropFirst(wanted).first
            guard let token, let next = try tokens.next(state, token) else {
                fatalError("an allowed token is refused")
            }
            if token == end { return }
            state = next
        }
    }

    static var seeds: [[UInt8]] {
        let grammars = [
            #"root ::= "a" "b"* [0-9]+"#,
            "root ::= term ([-+*/] term)*\nterm ::= num | \"(\" root \")\"\nnum  ::= [0-9]{1,3}",
            #"root ::= [^a-z\n] . "\x41\u00e9" ("x"{2,} | "y"?)"#,
        ]
        let schemas = [
            ##"{"type": "object", "properties": {"a": {"type": "integer", "minimum": -3, "maximum": 40}, "b": {"enum": ["x", 1, null]}}, "required": ["a"]}"##,
            ##"{"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}, "maxItems": 3}}, "$ref": "#/$defs/t"}"##,
            ##"{"anyOf": [{"type": "string", "pattern": "^[a-c]{2,4}$"}, {"const": {"k": [true, 1.5]}}], "minLength": 2}"##,
            ##"{"type": ["number", "boolean"], "format": "date"}"##,
        ]
        return zip([0, 1] as [UInt8], [grammars, schemas]).flatMap { kind, sources in
            sources.map { [kind] + Array($0.utf8) + [255, 0, 7, 1, 200, 3, 3] }
        }
    }
}
