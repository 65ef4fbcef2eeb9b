internal import TesseraCalibrating
internal import TesseraChat
internal import TesseraChatTemplates
internal import Glibc
internal import TesseraImport
internal import TesseraKernels
internal import TesseraQuantization
internal import TesseraReporting
internal import TesseraMachine
internal import TesseraResidency
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

extension QuantizeCommand {
    /// Calibrates with a text that is run through a copy of the model. Nil where no bytes are shared out, where the user
    /// turned it off, and where the user names no text and the weights are random or the copy does not fit.
    func calibration(
        _ source: any TensorSource, _ options: EncodingPlan.Options
    ) async throws -> Calibration? {
        let isRandom = source.tensors.contains { $0.type == .synthetic }
        guard draftsFor == nil, isShared, calibrate != "off", calibrate != nil || !isRandom else {
            return nil
        }
        guard try EncodingPlan.measures(source, options) else { return nil }
        let plan = try EncodingPlan(
            for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options: .init())
        let quantizer = quantizer(source, plan)
        let folder = Terminal.environment("TMPDIR") ?? "/tmp"
        let path = (output ?? "\(folder)/tessera-\(getpid())") + ".calibration.tsr"
        let place = try OutputPlace(path, takesStreams: false)
        if calibrate == nil, let obstacle = obstacle(to: quantizer.plannedBytes, place) {
            Terminal.note(
                "note: not calibrated: \(obstacle); give --calibrate TEXT to calibrate anyway")
            return nil
        }
        try checkSpace(for: place, bytes: quantizer.plannedBytes)
        let (ids, key) = try calibrationText(source)
        let weights = try await copy(quantizer, to: path)
        var run = Model.Options()
        run.threads = threads
        run.batchCapacity = Calibrator.batch
        run.logitCapacity = Calibrator.batch
        run.contextLength = min(Calibrator.window, weights.config.maxPositions)
        let sequence = try TokenSequence(weights, options: run)
        let calibrator = Calibrator(sequence, source: source, storages: storages, ids: ids)
        var progress = ProgressReport("calibrating")
        defer { progress.finish() }
        return try calibrator.calibrate(
            key: key,
            progress: { progress.update(done: $0, total: $1) },
            isCancelled: { Interruption.isRequested })
    }

    /// Why a copy of this many bytes is not made by default.
    private func obstacle(to bytes: Int, _ place: OutputPlace) -> String? {
        let memory = MemoryBudget.available().bytes
        if memory < bytes {
            return
                "a copy of the model takes \(Format.bytes(bytes)), and \(Format.bytes(memory)) of memory are free"
        }
        guard let space = place.availableBytes, space < 2 * bytes else { return nil }
        return
            "a copy of the model takes \(Format.bytes(bytes)), and \(place.folder) has \(Format.bytes(space)) free"
    }

    /// The text's tokens, and what names them.
    private func calibrationText(_ source: any TensorSource) throws -> ([Int32], String) {
        let tokenizer = try Tokenizer(source.tokenizer)
        guard let calibrate else {
            let ids = builtInText(tokenizer, source).prefix(calibrationTokens)
            return (Array(ids), "\(CalibrationText.name) \(ids.count)")
        }
        let bytes = try Input.all(pathOrInput: calibrate)
        let ids = tokenizer.encode(
            Input.text(bytes, name: calibrate), specials: .parse,
            addBOS: tokenizer.tables.addsBOS
        ).prefix(calibrationTokens)
        guard ids.count >= Calibrator.batch else {
            throw CommandError(
                .badData,
                "\(calibrate): \(ids.count) tokens; \(Calibrator.batch) are needed at least")
        }
        return (Array(ids), "\(XXH64.hash(bytes)) \(ids.count)")
    }

    /// Dialogues have the form of the model's chat template, as far as it has one that works.
    private func builtInText(_ tokenizer: Tokenizer, _ source: any TensorSource) -> [Int32] {
        let format = source.chatTemplate.flatMap {
            try? ChatFormat(template: $0, tokenizer: tokenizer)
        }
        let end = tokenizer.tables.eosTokens.first.map { [Int32($0)] } ?? []
        func encoded(_ text: String, begins: Bool) -> [Int32] {
            tokenizer.encode(
                text, specials: .asText, addBOS: begins && tokenizer.tables.addsBOS)
        }
        return CalibrationText.passages.flatMap { passage in
            switch passage {
            case .text(let text): return encoded(text, begins: true)
            case .dialogue(let messages):
                let turns = messages.enumerated().map { index, message in
                    Turn(Message(role: index % 2 == 0 ? "user" : "assistant", content: message))
                }
                guard let question = try? format?.prompt(turns.dropLast()) else {
                    return encoded(messages.joined(separator: "\n\n") + "\n\n", begins: true)
                }
                return question.ids + encoded(messages[messages.count - 1], begins: false) + end
            }
        }
    }

    /// A copy that keeps codes and gives floats 8 bits. Its file has lost its name already, and goes when it is closed
    /// or the program ends.
    private func copy(_ quantizer: Quantizer, to path: String) async throws -> WeightFile {
        defer { unsafe unlink(path) }
        var progress = ProgressReport("copy to calibrate")
        defer { progress.finish() }
        _ = try await quantizer.write(
            to: path, progress: { progress.update(done: $0, total: $1) },
            isCancelled: { Interruption.isRequested })
        return try WeightFile(path: path)
    }
}
