internal import Decoding
internal import Residency
internal import Tessera
internal import Transformer
internal import WeightFile

/// The second model of `--draft MODEL.tsr`: its file is open, its weights are not loaded.
struct DraftModel {
    private let source: ModelSource

    /// - Throws: Where the two models do not have the same tokens.
    init(path: String, for target: ModelSource) throws {
        source = try ModelSource(path: path)
        let (mine, its) = (source.file, target.file)
        let (count, needed) = (mine.config.vocabularySize, its.config.vocabularySize)
        guard count == needed else {
            throw Self.refusal(
                path, "has a vocabulary of \(count) tokens, and '\(target.path)' of \(needed)")
        }
        let (tokens, others) = (mine.tokenizer.tokens, its.tokenizer.tokens)
        guard tokens != others else { return }
        let id = zip(tokens, others).enumerated().first { $0.element.0 != $0.element.1 }?.offset
        throw Self.refusal(
            path,
            id.map { "has another token \($0) than '\(target.path)'" }
                ?? "names \(tokens.count) tokens, and '\(target.path)' \(others.count)")
    }

    private static func refusal(_ path: String, _ reason: String) -> CommandError {
        CommandError(
            .usage,
            "--draft: '\(path)' \(reason); a model can draft only for one with the same tokens")
    }

    /// How it runs next to the target: all of it in memory, one row of logits.
    private func options(beside target: Model.Options) -> Model.Options {
        var options = target
        options.memory = nil
        options.logitCapacity = 1
        options.furtherContexts = []
        options.loading = { _, _ in }
        let most = source.file.config.maxPositions
        options.contextLength = min(target.contextLength ?? most, most)
        return options
    }

    /// Bytes that it takes.
    func bytes(beside target: Model.Options) throws -> Int {
        try Model.plan(source.file, options: options(beside: target)).totalBytes
    }

    /// Its drafts, and those of the text where they promise more.
    func open(beside target: Model.Options, stopTokens: Set<Int32>) throws -> CombinedDrafts {
        let sequence = try TokenSequence(source.file, options: options(beside: target))
        return CombinedDrafts(
            LookupSource(), ModelDrafts(sequence, name: source.path, stopTokens: stopTokens))
    }
}
