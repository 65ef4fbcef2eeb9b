internal import ArgumentParser
internal import Tessera
internal import TesseraTransformer
internal import TesseraWeightFile

/// `--prompt-cache`: a folder of texts with their caches, which later processes take up.
struct PromptCacheOption: ParsableArguments {
    @Option(
        name: .customLong("prompt-cache"),
        help: ArgumentHelp(
            """
            Keep texts with their caches in this folder, and take up what a prompt and an earlier text begin with; \
            of 4 GiB, the files that were not used for longest go.
            """, valueName: "folder"), completion: .directory)
    var folder: String?

    /// The folder's texts; nil where none is named, or where what follows a text changes its cache.
    ///
    /// - Parameter sequence: Of the model.
    func store(for sequence: TokenSequence) -> PromptStore? {
        guard let folder, !(sequence.config.blockDecoding?.bidirectionalCommit ?? false) else {
            return nil
        }
        return PromptStore(
            folder, limit: Tessera.Model.Options.PromptCache(folder: folder).limit, for: sequence,
            note: { Terminal.note("tessera: \($0)") })
    }
}
