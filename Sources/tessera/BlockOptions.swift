internal import ArgumentParser
internal import TesseraDecoding
internal import Tessera
internal import TesseraTokenization
internal import TesseraTransformer
internal import TesseraWeightFile

/// How many tokens a pass should give.
struct BlockOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Where drafts come from. Drafts are guessed tokens, which a pass verifies together; the text is that of \
            single tokens. lookup: tokens that followed the same words earlier in prompt and output, with any model. \
            masks: the model's own guesses, if it was trained with a mask token. MODEL.tsr: a smaller model \
            with the same vocabulary, or a block drafter made for this model; lookup where that promises more. \
            off: single tokens. auto: masks, or else lookup.
            """, valueName: "source"), completion: .file(extensions: ["tsr"]))
    var draft = DraftChoice.auto

    @Option(
        help: ArgumentHelp(
            """
            Look drafts up in this text too, such as earlier outputs or documents that answers quote; repeatable. No text \
            depends on it. With --draft auto, lookup or a MODEL.tsr; auto then looks up with every model. The last \
            262144 tokens count, about 60 bytes each.
            """, valueName: "file"), completion: .file())
    var lookupText: [String] = []

    @Option(
        help: """
            Positions of a block, 1 to 64; 1 is next-token prediction. auto chooses by the time that \
            passes take here and by how easy the text is.
            """)
    var blockSize = Size.auto

    @Option(
        help: """
            Entropy in nats that a pass may risk: more is faster and less exact. Each pass also \
            decides the first open position, and the block slides on after fixed tokens. Without \
            this, --factor or --threshold nothing is risked (--verify).
            """)
    var gamma: Float?

    @Flag(
        help: """
            With --gamma, decide as the paper on Set Block Decoding does. Each pass decides the surest \
            position, which may not be the first. Gamma bounds the sum of the entropies without the largest. \
            A block is filled before the next begins.
            """)
    var paperRule = false

    @Option(help: "Order in which positions are decided: entropy, confidence or margin.")
    var errorProxy = Proxy.entropy

    @Option(
        help: "Decide by confidence c: the most positions n with (n + 1)(1 - c) below this factor.")
    var factor: Float?

    @Option(help: "Decide every position more confident than this.")
    var threshold: Float?

    @Flag(
        inversion: .prefixedNo,
        help: "Lossless: keep only tokens that next-token prediction would have given.")
    var verify: Bool?

    enum Proxy: String, ExpressibleByArgument, CaseIterable {
        case entropy, confidence, margin

        var order: RevealRule.ErrorProxy {
            switch self {
            case .entropy: .entropy
            case .confidence: .confidence
            case .margin: .margin
            }
        }
    }

    enum DraftChoice: ExpressibleByArgument, CustomStringConvertible, Equatable {
        case auto, off, lookup, masks
        /// The file of a second model.
        case model(String)

        private static let named: [DraftChoice] = [.auto, .off, .lookup, .masks]
        static var allValueStrings: [String] { named.map(\.description) }

        init?(argument: String) {
            if let named = Self.named.first(where: { $0.description == argument }) {
                self = named
            } else if argument.hasSuffix(".tsr") || argument.contains("/") {
                self = .model(argument)
            } else {
                return nil
            }
        }

        var description: String {
            switch self {
            case .auto: "auto"
            case .off: "off"
            case .lookup: "lookup"
            case .masks: "masks"
            case .model(let path): path
            }
        }
    }

    enum Size: ExpressibleByArgument, CustomStringConvertible {
        case auto
        case fixed(Int)

        init?(argument: String) {
            if argument == "auto" {
                self = .auto
            } else if let size = Int(argument), (1...64).contains(size) {
                self = .fixed(size)
            } else {
                return nil
            }
        }

        var description: String {
            switch self {
            case .auto: "auto"
            case .fixed(let size): "\(size)"
            }
        }
    }

    /// The drafting that the user asks for, for any model.
    var drafting: Drafting {
        var drafting = Drafting()
        drafting.source =
            switch draft {
            case .auto: .auto
            case .off: .off
            case .lookup: .lookup
            case .masks: .masks
            case .model: .model
            }
        if case .fixed(let size) = blockSize { drafting.blockSize = size }
        (drafting.gamma, drafting.paperRule) = (gamma, paperRule)
        (drafting.factor, drafting.threshold) = (factor, threshold)
        (drafting.order, drafting.verify) = (errorProxy.order, verify)
        return drafting
    }

    func validate() throws {
        try validateDraft()
        guard [gamma, factor, threshold].compactMap({ $0 }).count <= 1 else {
            throw ValidationError("give one of --gamma, --factor and --threshold")
        }
        do {
            try drafting.rule(nil).validate()
        } catch {
            throw ValidationError(error.description)
        }
    }

    /// Options by which blocks are decided without verification.
    private var risks: [String] {
        [
            ("--gamma", gamma != nil), ("--factor", factor != nil),
            ("--threshold", threshold != nil), ("--paper-rule", paperRule),
        ].filter(\.1).map(\.0)
    }

    private func validateDraft() throws {
        if !lookupText.isEmpty {
            guard draft != .off, draft != .masks else {
                throw ValidationError("--lookup-text cannot be combined with --draft \(draft)")
            }
            guard risks.isEmpty, verify != false else {
                throw ValidationError(
                    "--lookup-text cannot be combined with risks, which are taken with masks")
            }
            if case .fixed(1) = blockSize {
                throw ValidationError("--lookup-text cannot be combined with --block-size 1")
            }
        }
        guard draft != .auto, draft != .masks else { return }
        guard risks.isEmpty else {
            throw ValidationError(
                "\(risks.joined(separator: ", ")): a risk is taken with masks; "
                    + "leave out --draft \(draft)")
        }
        guard case .fixed(let size) = blockSize, (size == 1) != (draft == .off) else { return }
        throw ValidationError("--draft \(draft) does not go with --block-size \(size)")
    }

    /// Refuses options that a model without a mask token cannot follow, and names options without effect.
    func check(_ traits: ModelConfig.BlockDecoding?) throws {
        if draft == .masks, traits == nil {
            throw CommandError(
                .usage,
                "--draft masks: this model was not trained with a mask token; use --draft lookup")
        }
        guard !risks.isEmpty else { return }
        guard traits != nil else {
            throw CommandError(
                .usage,
                "\(risks.joined(separator: ", ")): only a model trained with a mask token decides "
                    + "several tokens in a pass, and this one has none")
        }
        guard verify == true || drafting.largest(traits) == 1 else { return }
        let cause = verify == true ? "--verify, which risks nothing" : "blocks of one token"
        Terminal.note("tessera: \(risks.joined(separator: ", ")): no effect with \(cause)")
    }

    /// The same for one model, with the texts that its drafts may come from.
    func drafting(for source: ModelSource) throws -> Drafting {
        var drafting = drafting
        guard !lookupText.isEmpty else { return drafting }
        let texts = try lookupText.map { try Input.text(pathOrInput: $0) }
        let corpus = LookupCorpus(texts, source.tokenizer)
        if corpus.count == LookupCorpus.capacity {
            Terminal.note(
                "tessera: --lookup-text: more than \(LookupCorpus.capacity) tokens; the last ones are looked up"
            )
        }
        drafting.corpus = corpus
        return drafting
    }

    /// The second model, where drafts come from one.
    func draftModel(for target: WeightFile) throws -> DraftModel? {
        guard case .model(let path) = draft else { return nil }
        do {
            return try DraftModel(path: path, for: target)
        } catch let error as ModelError {
            throw CommandError(.usage, "--draft: \(error)")
        }
    }
}
