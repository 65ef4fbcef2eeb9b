package import TesseraResidency
internal import TesseraKernels
internal import TesseraMachine
internal import TesseraDecoding
internal import TesseraTokenization
internal import TesseraTransformer
package import TesseraWeightFile

extension Model.Options {
    /// The engine's options for a model.
    ///
    /// - Parameters:
    ///   - drafting: See ``drafting(_:)``.
    ///   - drafter: The model that shares the memory, if any.
    func planned(
        for file: WeightFile, _ drafting: Drafting, _ drafter: DraftModel?
    ) throws -> TesseraTransformer.Model.Options {
        let options = planned(for: file, drafting)
        guard let drafter else { return options }
        return planned(for: file, drafting, reserved: try drafter.bytes(nextTo: options))
    }

    /// - Parameter reserved: Bytes of the memory that others take.
    private func planned(
        for file: WeightFile, _ drafting: Drafting, reserved: Int = 0
    ) -> TesseraTransformer.Model.Options {
        var options = drafting.engineOptions(file.config.blockDecoding, texts: answers)
        var budget = file.budget(memory)
        budget.bytes = max(0, budget.bytes - reserved)
        options.memory = budget
        options.paces = PaceCache.memory(of: file, .auto)
        options.threads = threads.map { min($0, Processors.allowed()) }
        options.kvEncoding =
            switch cache {
            case .int4: .int4
            case .int8: .int8
            case .float16: .f16
            case .float32: .f32
            }
        let alone = TesseraTransformer.Model.conversationContext(file, options: options)
        options.contextLength = contextLength ?? alone
        func share() {
            options.furtherContexts = Array(
                repeating: options.contextLength ?? alone, count: answers - 1)
        }
        share()
        let plan = try? TesseraTransformer.Model.plan(file, options: options)
        if contextLength == nil, answers > 1, plan?.isResident != true {
            options.contextLength = max(min(512, alone), alone / answers / 64 * 64)
            share()
        }
        return options
    }

    /// The model that drafts, where one is named.
    func draftModel(for target: WeightFile) throws -> DraftModel? {
        guard case .model(let path) = drafts else { return nil }
        return try DraftModel(path: path, for: target)
    }

    func drafting(_ tokenizer: Tokenizer) -> Drafting {
        var drafting = Drafting()
        if let lookupText, drafts != .off {
            drafting.corpus = LookupCorpus([lookupText], tokenizer)
        }
        drafting.source =
            switch drafts {
            case .auto: .auto
            case .off: .off
            case .lookup: .lookup
            case .model: .model
            }
        return drafting
    }
}

extension WeightFile {
    /// The memory that weights, cache and everything else may take.
    ///
    /// - Parameter asked: Bytes; nil: what the machine and its control groups leave.
    package func budget(_ asked: Int?, units: ByteUnits = .binary) -> MemoryBudget {
        // Bytes of a file on a file system in memory: they are in memory anyway.
        let isInMemory = ["tmpfs", "ramfs"].contains(Mount.holding(descriptorPath)?.type)
        let shared = isInMemory ? fileBytes : 0
        guard let asked else { return .available(sharing: shared) }
        return .asked(asked, units: units, sharing: shared)
    }
}
