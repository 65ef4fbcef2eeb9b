internal import ArgumentParser
internal import Tessera
internal import TesseraTransformer
internal import TesseraWeightFile

/// `--prompt-cache`: a folder of texts with their caches, which later processes use.
struct PromptCacheOption: ParsableArguments {
    @Option(
        name: .customLong("prompt-cache"),
        help: ArgumentHelp(
            """
            Keep texts with their caches in this folder, and take over the beginning that a prompt shares with an earlier \
            text. The folder has at most 4 GiB; the files that were not used for the longest time are removed first.
            """, valueName: "folder"), completion: .directory)
    var folder: String?

    /// The folder's texts; nil if the user names no folder, or if later tokens change the cache of earlier ones.
    ///
    /// - Parameter sequence: A sequence of the model.
    func store(for sequence: TokenSequence) -> PromptStore? {
        guard let folder, !(sequence.config.blockDecoding?.bidirectionalCommit ?? false) else {
            return nil
        }
        return PromptStore(
            folder, limit: Tessera.Model.Options.PromptCache(folder: folder).limit, for: sequence,
            note: { Terminal.note("tessera: \($0)") })
    }
}
