package import Decoding
package import Transformer
internal import Residency
internal import WeightFile

/// A second model that drafts for another: its file is open, its weights are loaded for the first text.
package final class DraftModel {
    private let source: ModelSource
    private var workspace: Workspace?

    /// - Throws: ``ModelError`` where the two models do not have the same tokens; where the file cannot be
    ///   opened.
    package init(path: String, for target: ModelSource) throws {
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

    private static func refusal(_ path: String, _ reason: String) -> ModelError {
        ModelError(
            .badOption, "'\(path)' \(reason); a model can draft only for one with the same tokens")
    }

    /// How it runs next to the target: all of it in memory, one row of logits, and as many texts.
    private func options(
        nextTo target: Transformer.Model.Options
    ) -> Transformer.Model.Options {
        var options = target
        options.memory = nil
        (options.logitCapacity, options.openCapacity, options.otherBytes) = (1, 0, 0)
        options.loading = { _, _ in }
        let most = source.file.config.maxPositions
        let context = target.contextLength ?? most
        options.contextLength = min(context, most)
        options.furtherContexts = target.furtherContexts.map { min($0, most) }
        if context > most { options.slides = true }
        return options
    }

    /// Bytes that it takes.
    package func bytes(nextTo target: Transformer.Model.Options) throws -> Int {
        try Transformer.Model.plan(source.file, options: options(nextTo: target)).totalBytes
    }

    /// Its drafts for a text, and those of the text where they promise more.
    ///
    /// - Parameter lookups: Drafts of the text.
    package func drafts(
        for sequence: TokenSequence, stopTokens: Set<Int32>, _ lookups: LookupSource
    ) throws -> CombinedDrafts {
        let workspace =
            try self.workspace
            ?? Workspace(
                Transformer.Model(
                    source.file, options: options(nextTo: sequence.model.options)))
        self.workspace = workspace
        let length = min(sequence.contextLength, source.file.config.maxPositions)
        return CombinedDrafts(
            lookups,
            ModelDrafts(
                try TokenSequence(workspace, contextLength: length), name: source.path,
                stopTokens: stopTokens))
    }
}
