internal import Calibrating
internal import Glibc
internal import Import
internal import Kernels
internal import Quantization
internal import Reporting
internal import Machine
internal import Tokenization
internal import Transformer
internal import WeightFile

extension QuantizeCommand {
    /// Runs the text through an 8-bit copy of the model.
    func calibration(_ source: any TensorSource, text: String) async throws -> Calibration {
        let bytes = try Input.all(pathOrInput: text)
        let tokenizer = try Tokenizer(source.tokenizer)
        let ids = tokenizer.encode(
            Input.text(bytes, name: text), specials: .parse,
            addBOS: tokenizer.tables.addsBOS
        ).prefix(calibrationTokens)
        guard ids.count >= Calibrator.batch else {
            throw CommandError(
                .badData, "\(text): \(ids.count) tokens; \(Calibrator.batch) are needed at least")
        }
        let weights = try await copy(of: source)
        var options = Model.Options()
        options.threads = threads
        options.batchCapacity = Calibrator.batch
        options.logitCapacity = Calibrator.batch
        options.contextLength = min(Calibrator.window, weights.config.maxPositions)
        let sequence = try TokenSequence(weights, options: options)
        let calibrator = Calibrator(
            sequence, source: source, storage: codec.storage, ids: Array(ids))
        var progress = ProgressReport("calibrating")
        defer { progress.finish() }
        return try calibrator.calibrate(
            key: "\(XXH64.hash(bytes)) \(ids.count)",
            progress: { progress.update(done: $0, total: $1) },
            isCancelled: { Interruption.isRequested })
    }

    /// An 8-bit copy of the model. Its file has lost its name already, and goes when it is closed or the
    /// program ends.
    private func copy(of source: any TensorSource) async throws -> WeightFile {
        let path = "\(output ?? "tessera").calibration.tsr"
        defer { unsafe unlink(path) }
        var options = EncodingPlan.Options()
        options.bits = .eight
        let plan = try EncodingPlan(
            for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: options)
        let quantizer = quantizer(source, plan)
        let place = try OutputPlace(path, takesStreams: false)
        try checkSpace(for: place, bytes: quantizer.plannedBytes)
        var progress = ProgressReport("8-bit copy")
        defer { progress.finish() }
        _ = try await quantizer.write(
            to: path, progress: { progress.update(done: $0, total: $1) },
            isCancelled: { Interruption.isRequested })
        return try WeightFile(path: path)
    }
}
