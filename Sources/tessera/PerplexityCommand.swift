internal import ArgumentParser
internal import TesseraDecoding
internal import Glibc
internal import TesseraReporting
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

struct PerplexityCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "perplexity",
        abstract: "Measures how well a model predicts a text, and how close it is to another.",
        discussion: """
            The text is cut into windows of --ctx tokens (default: the model's own maximum, at most \
            4096); every token except the first is predicted once. With a reference, its tokens are \
            scored and FILE may be left out. A reference holds all logits: 4 bytes for each token of \
            the text and each of the vocabulary, 100 MB for 500 tokens of a vocabulary of 50,000.

            Examples:
              tessera perplexity model-f32.tsr notes.txt --write-reference notes.logits
              tessera perplexity model-int4.tsr notes.txt --reference notes.logits --json
            """)

    @Argument(help: "A .tsr file.", completion: .file(extensions: ["tsr"]))
    var model: String

    @Argument(help: "The text, or - for standard input.", completion: .file())
    var file: String?

    @Option(help: "Compare with the logits in this file.", completion: .file())
    var reference: String?

    @Option(
        help:
            "Write the model's logits to this file: 4 bytes per position and token of the vocabulary.",
        completion: .file())
    var writeReference: String?

    @Option(name: [.customShort("n"), .long], help: "Score at most this many tokens.")
    var maxTokens: Int?

    @OptionGroup(title: "Model") var modelOptions: ModelOptions

    @Flag(help: "Print a JSON object.")
    var json = false

    /// Positions of a window where the user says nothing, for models that know as many.
    private static let window = 4096

    /// Rows of logits per pass.
    private static let rows = 64

    func validate() throws {
        guard file != nil || reference != nil else {
            throw ValidationError("name a text file, - for standard input, or --reference")
        }
        guard maxTokens ?? 1 > 0 else { throw ValidationError("--max-tokens takes 1 or more") }
    }

    func run() async throws {
        try await reportingErrors {
            Interruption.install()
            let place = try writeReference.map {
                let inputs = [model, file, reference].compactMap { $0 }
                return try OutputPlace($0, takesStreams: true, inputs: inputs)
            }
            let weights = try WeightFile(path: model)
            let sequence = try modelOptions.open(
                weights, logitCapacity: Self.rows, need: .window(Self.window))
            let known = try reference.map { try LogitReader(path: $0) }
            let ids = try tokens(weights, known)
            let written = try place.map {
                try logitWriter(for: $0, ids, vocabulary: weights.config.vocabularySize)
            }
            let start = Clock.now
            let score = try score(ids, sequence, known, written)
            try written?.finish()
            report(score, window: sequence.contextLength, seconds: Clock.now - start)
        }
    }

    /// Opens the file for the logits and says how large it will be.
    private func logitWriter(
        for place: OutputPlace, _ ids: [Int32], vocabulary: Int
    ) throws -> LogitWriter {
        let bytes = LogitWriter.byteCount(ids: ids.count, vocabulary: vocabulary)
        let row = LogitWriter.rowBytes(vocabulary: vocabulary)
        Terminal.note(
            "\(place.path): \(Format.bytes(bytes)), \(Format.bytes(row)) for each of "
                + "\(ids.count - 1) tokens; --max-tokens takes fewer")
        return try LogitWriter(place, ids: ids, vocabulary: vocabulary)
    }

    /// The ids to score: the reference's own, or the text's.
    private func tokens(_ weights: WeightFile, _ known: LogitReader?) throws -> [Int32] {
        var ids: [Int32] = []
        if let file {
            let tokenizer = try Tokenizer(weights.tokenizer)
            let text = try Input.text(pathOrInput: file)
            ids = tokenizer.encode(text, specials: .asText, addBOS: tokenizer.tables.addsBOS)
        }
        if let known {
            let size = weights.config.vocabularySize
            guard known.vocabulary == size else {
                throw CommandError(
                    .badData,
                    "\(known.path): logits of \(known.vocabulary) tokens, "
                        + "but the model has \(size)")
            }
            guard known.ids.allSatisfy({ $0 >= 0 && Int($0) < size }) else {
                throw CommandError(.badData, "\(known.path): has a token id outside the vocabulary")
            }
            guard file == nil || ids.starts(with: known.ids) else {
                throw CommandError(
                    .badData, "\(known.path): was made from another text or with another tokenizer")
            }
            ids = known.ids
        }
        if let maxTokens { ids = Array(ids.prefix(maxTokens + 1)) }
        guard ids.count >= 2 else {
            throw CommandError(.badData, "the text has fewer than two tokens: nothing to predict")
        }
        return ids
    }

    private func score(
        _ ids: [Int32], _ sequence: TokenSequence, _ known: LogitReader?, _ written: LogitWriter?
    ) throws -> LogitScore {
        var score = LogitScore()
        var progress = ProgressReport("perplexity")
        let window = sequence.contextLength
        let size = sequence.config.vocabularySize
        var row = [Float](repeating: 0, count: known == nil && written == nil ? 0 : size)
        var at = 0
        while at < ids.count - 1 {
            if Interruption.isRequested { throw ExitCode(Interruption.status.rawValue) }
            if at % window == 0 { sequence.reset() }
            let count = min(Self.rows, window - at % window, ids.count - 1 - at)
            try sequence.forward(
                committed: Array(ids[at..<at + count]), logitRows: Array(0..<count))
            for index in 0..<count {
                let begin = index * sequence.logitStride
                let range = begin..<begin + size
                if let known { try known.read(into: &row) }
                try score.add(
                    sequence.logits, range, next: ids[at + index + 1],
                    reference: known == nil ? nil : row, compute: sequence.compute)
                if let written { try written.append(sequence.logits, range) }
            }
            at += count
            progress.update(done: at, total: ids.count - 1)
        }
        progress.finish()
        return score
    }

    private func report(_ score: LogitScore, window: Int, seconds: Double) {
        if json {
            var members: [(String, JSONOutput)] = [
                ("schema_version", 1), ("tokens", .int(score.tokens)),
                ("mean_nll", .number(score.meanNLL)), ("perplexity", .number(score.perplexity)),
                ("seconds", .number(seconds)), ("context_limit", .int(window)),
                ("context_used", .int(min(window, score.tokens))),
            ]
            if score.compared > 0 {
                members += [
                    ("mean_kl", .number(score.meanKL)),
                    ("top1_agreement", .number(score.top1Agreement)),
                    ("max_logit_error", .number(Double(score.largestError))),
                ]
            }
            return Terminal.write(JSONOutput.object(members).text + "\n")
        }
        Terminal.write(
            "tokens \(score.tokens)\nmean_nll \(Format.fixed(score.meanNLL, 5))\n"
                + "perplexity \(Format.fixed(score.perplexity, 4))\n")
        if score.compared > 0 {
            Terminal.write(
                "mean_kl \(Format.fixed(score.meanKL, 7))\n"
                    + "top1_agreement \(Format.fixed(score.top1Agreement, 5))\n"
                    + "max_logit_error \(Format.fixed(Double(score.largestError), 6))\n")
        }
    }
}
