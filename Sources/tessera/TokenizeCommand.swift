internal import ArgumentParser
internal import TesseraImport
internal import TesseraReporting
internal import TesseraTokenization
internal import TesseraWeightFile

struct TokenizeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Prints the token ids of a text.",
        discussion: """
            MODEL is a .tsr file, a .gguf file or a Hugging Face folder. A token that is \
            a part of a character shows U+FFFD.

            Examples:
              tessera tokenize model.tsr -p "Hello, world"
              tessera tokenize model.tsr -f notes.txt --json
              echo -n "<|im_end|>" | tessera tokenize model.tsr - --as-text
            """)

    @Argument(help: "The model.", completion: .file())
    var model: String

    @OptionGroup var prompt: PromptOptions

    @Flag(help: "Special tokens spelled out in the text stay text.")
    var asText = false

    @Flag(help: "Put the model's beginning-of-sequence token in front, if its prompts have one.")
    var bos = false

    @Flag(help: "Print {\"ids\": [...], \"tokens\": [...]}.")
    var json = false

    func run() async throws {
        try await reportingErrors {
            Interruption.install()
            let tables =
                model.hasSuffix(".tsr")
                ? try WeightFile(path: model).tokenizer
                : try VocabularySource(path: model).tokenizer
            let tokenizer = try Tokenizer(tables)
            let (ids, hasOwn) = tokenizer.encodeOnceBegun(
                try prompt.text(), specials: asText ? .asText : .parse,
                addBOS: bos && tables.addsBOS)
            if hasOwn { Terminal.note(GenerateSetup.bosNote) }
            let tokens = ids.map { String(decoding: tokenizer.bytes(of: $0), as: UTF8.self) }
            if json {
                let object = JSONOutput.object([
                    ("ids", .array(ids.map { .int(Int($0)) })),
                    ("tokens", .array(tokens.map { .string($0) })),
                ])
                return Terminal.write(object.text + "\n")
            }
            for (id, token) in zip(ids, tokens) {
                Terminal.write("\(id)\t\(JSONOutput.string(token).text)\n")
            }
        }
    }
}
