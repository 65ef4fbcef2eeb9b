package import TesseraDecoding
package import TesseraTransformer
internal import TesseraResidency
package import TesseraWeightFile

/// A second model that drafts for another one: a model of its own or a block drafter. Its file is open; its weights are
/// loaded for the first text.
package final class DraftModel {
    private let path: String
    private let file: WeightFile
    private var loaded: Loaded?

    private enum Loaded {
        case model(Workspace)
        case drafter(BlockDrafter)
    }

    /// - Throws: ``ModelError`` where the two models do not have the same tokens, or where a drafter is another
    ///   model's; where the file cannot be opened.
    package init(path: String, for target: WeightFile) throws {
        self.path = path
        file = try WeightFile(path: path)
        let (mine, its) = (file, target)
        guard mine.config.drafter == nil else {
            guard let reason = mine.config.misfit(as: its.config) else { return }
            throw ModelError(.badOption, "'\(path)' \(reason)")
        }
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

    private var isDrafter: Bool { file.config.drafter != nil }

    /// Its options next to the target: all weights in memory, and as many texts as the target.
    private func options(
        nextTo target: TesseraTransformer.Model.Options
    ) -> TesseraTransformer.Model.Options {
        var options = target
        options.memory = nil
        options.logitCapacity = file.config.drafter?.blockSize ?? 1
        (options.openCapacity, options.otherBytes) = (file.config.drafter?.blockSize ?? 0, 0)
        options.loading = { _, _ in }
        let most = file.config.maxPositions
        let context = target.contextLength ?? most
        options.contextLength = min(context, most)
        options.furtherContexts = target.furtherContexts.map { min($0, most) }
        if context > most { options.slides = true }
        return options
    }

    /// Bytes that it takes in addition to the target; both share the program.
    package func bytes(nextTo target: TesseraTransformer.Model.Options) throws -> Int {
        let options = options(nextTo: target)
        let plan = try TesseraTransformer.Model.plan(file, options: options)
        return plan.totalBytes - TesseraTransformer.Model.programBytes
            + (isDrafter ? BlockDrafter.byteCount(file, options) : 0)
    }

    /// Loads its weights. Call it before texts begin that copy the caches of others.
    package func prepare(nextTo target: Workspace) throws {
        guard loaded == nil else { return }
        let options = options(nextTo: target.model.options)
        loaded =
            isDrafter
            ? .drafter(try BlockDrafter(file, nextTo: target, options: options))
            : .model(try Workspace(TesseraTransformer.Model(file, options: options)))
    }

    /// Its drafts for a text, or looked-up drafts where they promise more.
    ///
    /// - Parameter lookups: Drafts of the text.
    package func drafts(
        for sequence: TokenSequence, stopTokens: Set<Int32>, _ lookups: LookupSource
    ) throws -> CombinedDrafts {
        try prepare(nextTo: sequence.workspace)
        switch loaded {
        case nil: preconditionFailure("not loaded")
        case .model(let workspace):
            let length = min(sequence.contextLength, file.config.maxPositions)
            return CombinedDrafts(
                lookups,
                ModelDrafts(
                    try TokenSequence(workspace, contextLength: length), name: path,
                    stopTokens: stopTokens))
        case .drafter(let drafter):
            return CombinedDrafts(
                lookups,
                BlockDrafts(
                    try sequence.follow(by: drafter), name: path,
                    vocabularySize: sequence.config.vocabularySize, stopTokens: stopTokens))
        }
    }
}
