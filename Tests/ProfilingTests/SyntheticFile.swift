import Foundation
import TesseraImport
import TesseraKernels
import TesseraProfiling
import TesseraQuantization
import TesseraTransformer
import TesseraWeightFile

/// The synthetic model "tiny" as a weight file, made once for all tests.
actor SyntheticFile {
    static let shared = SyntheticFile()
    private var file: Task<String, any Error>?

    /// Path of the file; it stays until the process ends.
    func path() async throws -> String {
        let task = file ?? Task { try await Self.make() }
        file = task
        return try await task.value
    }

    private static func make() async throws -> String {
        let model = try openModel(at: "synthetic:tiny")
        let plan = try EncodingPlan(
            for: model.tensors, tiedHead: model.config.tieWordEmbeddings,
            options: EncodingPlan.Options())
        let path = FileManager.default.temporaryDirectory
            .appending(path: "tessera-profile-\(UUID().uuidString).tsr").path
        _ = try await Quantizer(model, plan: plan, threads: 1).write(
            to: path, progress: { _, _ in }, isCancelled: { false })
        return path
    }
}

/// Opens a transformer whose cache holds what `options` ask for.
func transformer(_ file: WeightFile, _ options: ProfileOptions) throws -> TokenSequence {
    var settings = Model.Options()
    settings.threads = 1
    settings.contextLength = options.contextLength
    settings.logitCapacity = options.logitCapacity
    return try TokenSequence(file, options: settings)
}
