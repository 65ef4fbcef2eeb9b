internal import ArgumentParser
internal import TesseraDecoding
internal import Glibc
internal import TesseraKernels
internal import TesseraResidency
internal import Tessera
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

/// How a model is set up to run.
struct ModelOptions: ParsableArguments {
    @Option(
        name: .customLong("ctx"),
        help: """
            Positions of the context, up to the model's own maximum (default: as many as the prompt \
            and -n need; for a conversation as many as memory has room for).
            """)
    var context: Int?

    @Option(
        name: .shortAndLong,
        help: """
            Threads (default: the processors this process may use; one for a model so small that \
            passes are faster so).
            """)
    var threads: Int?

    @Option(help: "Numbers in the key/value cache: int8, int4, f16 or f32.")
    var kv = KeyValue.int8

    @Option(
        help: ArgumentHelp(
            """
            Memory to take at most, such as 2.5G or 800M (default: what the machine and its control \
            groups leave). Weights beyond it are read from disk in every pass.
            """, valueName: "size"))
    var ram: ByteSize?

    @Option(
        help: """
            How such weights are read: auto, direct, buffered or mapped. The speed of a file is measured \
            once; 'tessera estimate' measures it anew.
            """)
    var io = InputMethod.auto

    @Option(help: "Instruction set (default: the fastest here; see --version).")
    var isa: String?

    enum KeyValue: String, ExpressibleByArgument, CaseIterable {
        case int8, int4, f16, f32

        var encoding: KVLayer.Encoding {
            switch self {
            case .int8: .int8
            case .int4: .int4
            case .f16: .f16
            case .f32: .f32
            }
        }
    }

    func validate() throws {
        guard context.map({ (8...1 << 24).contains($0) }) ?? true else {
            throw ValidationError("--ctx takes 8 to \(1 << 24)")
        }
        guard threads.map({ (1...1024).contains($0) }) ?? true else {
            throw ValidationError("--threads takes 1 to 1024")
        }
        try ram?.check("--ram")
    }

    /// The context that a command needs.
    enum ContextNeed {
        /// As many positions.
        case positions(Int)
        /// As many as there is room for.
        case conversation
        /// The positions of a measurement, whatever the memory: with fewer, its result would differ.
        case window(Int)
    }

    /// The model of a file, with one sequence.
    ///
    /// - Parameters:
    ///   - logitCapacity: Rows of logits a pass may ask for.
    ///   - sequences: Number of sequences of `context` to plan memory for.
    func open(
        _ file: WeightFile, logitCapacity: Int, need: ContextNeed = .conversation,
        sequences: Int = 1
    ) throws -> TokenSequence {
        var base = Model.Options()
        base.logitCapacity = logitCapacity
        base.furtherContexts = Array(repeating: context ?? 0, count: sequences - 1)
        return try TokenSequence(Workspace(open(file, options(for: file, base, need: need))))
    }

    func open(_ file: WeightFile, _ options: Model.Options) throws -> Model {
        var options = options
        noteThreads()
        let isLimited = ram != nil
        options.loading = { plan, pace in
            if isLimited || !plan.isResident { Terminal.note("tessera: " + plan.sentence(pace)) }
        }
        return try Model(file, options: options)
    }

    /// The same for a model that shares the memory with one that drafts.
    func options(
        for file: WeightFile, _ base: Model.Options, need: ContextNeed, drafter: DraftModel?
    ) throws -> Model.Options {
        let alone = options(for: file, base, need: need)
        guard let drafter, let memory = alone.memory else { return alone }
        let rest = max(0, memory.bytes - (try drafter.bytes(nextTo: alone)))
        return options(for: file, base, need: need, memory: rest)
    }

    /// - Parameters:
    ///   - base: The engine's options that the work needs.
    ///   - memory: Most bytes to take, if less than the available memory.
    func options(
        for file: WeightFile, _ base: Model.Options, need: ContextNeed = .conversation,
        memory: Int = .max
    ) -> Model.Options {
        var options = base
        var budget = file.budget(ram?.bytes, units: ram?.units ?? .binary)
        budget.bytes = min(budget.bytes, memory)
        options.memory = budget
        options.inputMethod = io
        options.paces = PaceCache.memory(of: file, io)
        options.notice = { Terminal.note("tessera: \($0.sentence)") }
        options.threads = usedThreads
        options.isa = isa
        options.kvEncoding = kv.encoding
        options.contextLength = context ?? Self.context(file, options, need)
        return options
    }

    private static func context(
        _ file: WeightFile, _ options: Model.Options, _ need: ContextNeed
    ) -> Int {
        let most = file.config.maxPositions
        // A smaller context saves nothing. A model that does not fit even so is refused later, with numbers.
        let least = min(32, most)
        switch need {
        case .positions(let count):
            let wanted = max(count, least)
            return max(
                least, Model.longestContext(file, upTo: wanted, options: options))
        case .conversation: return Model.conversationContext(file, options: options)
        case .window(let count): return max(least, min(count, most))
        }
    }

    /// Notes that memory leaves less room than the text could use.
    ///
    /// - Parameter wanted: Positions that would be of use.
    func noteShortContext(_ length: Int, wanted: Int, _ what: String) {
        guard context == nil, length < wanted else { return }
        let cause = ram == nil ? "memory" : "--ram"
        Terminal.note(
            "tessera: \(cause) leaves room for a context of \(length) of the \(wanted) positions "
                + what)
    }

    /// Why a prompt does not fit, and what to do.
    func tooLong(_ tokens: Int, context length: Int, maximum: Int) -> String {
        let advice =
            length >= maximum
            ? "more than the model knows; shorten the text"
            : context != nil
                ? "give --ctx \(min(tokens + 256, maximum)) or more (this model takes \(maximum))"
                : "more than memory has room for; give more with --ram, or shorten the text"
        return
            "the prompt has \(tokens) tokens, and the context has \(length) positions: \(advice), "
            + "or let --keep-last drop its beginning"
    }
}
