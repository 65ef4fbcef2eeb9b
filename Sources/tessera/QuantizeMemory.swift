internal import ArgumentParser
internal import TesseraImport
internal import TesseraKernels
internal import TesseraQuantization
internal import TesseraReporting
internal import TesseraResidency
internal import Tessera
internal import TesseraTransformer
internal import TesseraWeightFile

extension QuantizeCommand {
    /// Bytes of a file whose weights all stay in memory in a run within `ram`.
    func fileBytes(for source: any TensorSource, _ ram: ByteSize) throws -> Int {
        let metadata = WeightFileWriter.plannedBytes(
            config: source.config, tokenizer: source.tokenizer,
            chatTemplate: source.chatTemplate, tensors: [])
        // The directory, the tile table, and the memory that a run takes for them.
        let tables = ram.bytes / 256 + 1024 * source.tensors.count
        var options = Drafting().engineOptions(source.config.blockDecoding)
        options.memory = MemoryBudget(bytes: ram.bytes, source: .option, units: ram.units)
        let context = Model.Options.context(
            source.config, in: options.memory ?? .unlimited, options.kvEncoding)
        let needs = Model.needs(
            source.config,
            forms: storages.reduce(into: Matrix.Forms()) { $0.formUnion($1.form) },
            metadataBytes: metadata, context: context, options: options)
        let free = ram.bytes - needs.total - tables
        guard free > 0 else {
            throw CommandError(
                .usage,
                "--ram \(ram.text): too little; the program, the cache and buffers alone take "
                    + Format.bytes(needs.total))
        }
        return metadata + ResidencyPlan.residentWeights(in: free)
    }
}
