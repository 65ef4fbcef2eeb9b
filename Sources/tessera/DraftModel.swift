internal import Decoding
internal import Residency
internal import Tessera
internal import Transformer
internal import WeightFile

/// The second model of `--draft MODEL.tsr`: its file is open, its weights are loaded for the first text.
final class DraftModel {
    private let source: ModelSource
    private var workspace: Workspace?

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

    /// How it runs next to the target: all of it in memory, one row of logits, and as many texts.
    private func options(nextTo target: Model.Options) -> Model.Options {
        var options = target
        options.memory = nil
        options.logitCapacity = 1
        options.loading = { _, _ in }
        let most = source.file.config.maxPositions
        options.contextLength = min(target.contextLength ?? most, most)
        options.furtherContexts = target.furtherContexts.map { min($0, most) }
        return options
    }

    /// Bytes that it takes.
    func bytes(nextTo target: Model.Options) throws -> Int {
        try Model.plan(source.file, options: options(nextTo: target)).totalBytes
    }

    /// Its drafts for a text, and those of the text where they promise more.
    func drafts(
        for sequence: TokenSequence, stopTokens: Set<Int32>, _ chances: LookupChances
    ) throws -> CombinedDrafts {
        let workspace =
            try self.workspace
            ?? Workspace(Model(source.file, options: options(nextTo: sequence.model.options)))
        self.workspace = workspace
        let length = min(sequence.contextLength, source.file.config.maxPositions)
        return CombinedDrafts(
            LookupSource(chances: chances),
            ModelDrafts(
                try TokenSequence(workspace, contextLength: length), name: source.path,
                stopTokens: stopTokens))
    }
}
