internal import ArgumentParser
internal import Decoding
internal import Tessera
internal import Tokenization
internal import Transformer
internal import WeightFile

/// How many tokens a pass is to give.
struct BlockOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            Where drafts come from, tokens guessed ahead that a pass verifies together; the text is that of \
            single tokens. lookup: what followed the same words earlier in prompt and output, with any model; \
            masks: the model's own guesses, if it was trained with a mask token; MODEL.tsr: a smaller model \
            with the same vocabulary, or lookup where that promises more; off: single tokens; auto: masks, or else lookup.
            """, valueName: "source"), completion: .file(extensions: ["tsr"]))
    var draft = DraftChoice.auto

    @Option(
        help: """
            Positions of a block, 1 to 64; 1 is next-token prediction. auto chooses by the time that \
            passes take here and by how easy the text is.
            """)
    var blockSize = Size.auto

    @Option(
        help: """
            Entropy in nats that a pass may risk: more is faster and less exact. Besides, each pass \
            decides the first open position, and the block slides on behind what is fixed. Without \
            this, --factor or --threshold nothing is risked (--verify).
            """)
    var gamma: Float?

    @Flag(
        help: """
            With --gamma, decide as the SBD paper does: the surest position in each pass, which need \
            not be the first, gamma bounds the entropies without the largest, and a block is filled \
            before the next begins.
            """)
    var paperRule = false

    @Option(help: "Order in which positions are decided: entropy, confidence or margin.")
    var errorProxy = Proxy.entropy

    @Option(help: "Decide by confidence c: the most n with (n + 1)(1 - c) below this factor.")
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

    /// Where the user and the model say nothing: few enough risks to keep the text's quality.
    static let defaultGamma: Float = 0.1
    /// Positions of a pass that verifies what a source drafted: more cost as much as they save, even where
    /// passes wait for a disk.
    private static let sourcePositions = 32

    func validate() throws {
        try validateDraft()
        guard [gamma, factor, threshold].compactMap({ $0 }).count <= 1 else {
            throw ValidationError("give one of --gamma, --factor and --threshold")
        }
        do {
            try rule(nil).validate()
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
        guard draft != .auto, draft != .masks else { return }
        guard risks.isEmpty else {
            throw ValidationError(
                "\(risks.joined(separator: ", ")): a risk is taken with masks; "
                    + "leave out --draft \(draft)")
        }
        guard case .fixed(let size) = blockSize, (size == 1) != (draft == .off) else { return }
        throw ValidationError("--draft \(draft) does not go with --block-size \(size)")
    }

    /// Refuses what a model without a mask token cannot do, and says what has no effect.
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
        guard verify == true || largest(traits) == 1 else { return }
        let cause = verify == true ? "--verify, which risks nothing" : "blocks of one token"
        Terminal.note("tessera: \(risks.joined(separator: ", ")): no effect with \(cause)")
    }

    /// Whether drafts come from a source, and not from masks.
    private func usesSource(_ traits: ModelConfig.BlockDecoding?) -> Bool {
        switch draft {
        case .lookup, .model: return true
        case .off, .masks: return false
        case .auto:
            guard traits == nil, case .auto = blockSize else { return false }
            return true
        }
    }

    /// The second model, where drafts come from one.
    func draftModel(for target: ModelSource) throws -> DraftModel? {
        guard case .model(let path) = draft else { return nil }
        return try DraftModel(path: path, for: target)
    }

    /// Whether tokens are checked against next-token prediction. Unless the user names a risk, or the
    /// model was made for one, they are.
    func verifies(_ traits: ModelConfig.BlockDecoding?) -> Bool {
        if usesSource(traits) { return true }
        if let verify { return verify }
        guard let traits, gamma == nil, factor == nil, threshold == nil else { return false }
        return !traits.bidirectionalCommit && traits.confidenceThreshold == 0
    }

    /// The largest block that will be asked for: auto keeps to sizes that the model was trained for. With
    /// drafts of a source, the most positions of a pass.
    func largest(_ traits: ModelConfig.BlockDecoding?) -> Int {
        switch blockSize {
        case .fixed(let size): size
        case .auto where draft == .off: 1
        case .auto: usesSource(traits) ? Self.sourcePositions : traits?.blockSize ?? 1
        }
    }

    /// Rows of logits that a pass may ask for.
    func logitRows(_ traits: ModelConfig.BlockDecoding?) -> Int {
        let largest = largest(traits)
        guard !usesSource(traits), largest > 1 else { return largest }
        return verifies(traits) ? 2 * largest : largest + 1
    }

    /// What decides; the model's own threshold where the user names nothing.
    func rule(_ traits: ModelConfig.BlockDecoding?) -> RevealRule {
        if let factor { return .factor(factor) }
        if let threshold { return .confidence(threshold: threshold) }
        if gamma == nil, let traits, traits.confidenceThreshold > 0 {
            return .confidence(threshold: traits.confidenceThreshold)
        }
        let gamma = gamma ?? Self.defaultGamma
        return paperRule
            ? .entropyBound(gamma: gamma, errorProxy.order)
            : .firstAndBound(gamma: gamma, errorProxy.order)
    }

    /// What chooses how much each pass computes, for all texts of a model.
    func planner(_ traits: ModelConfig.BlockDecoding?) -> Planner {
        guard !usesSource(traits) else { return Planner() }
        guard let traits else { return Planner(isFixed: true) }
        let isFixed = if case .fixed = blockSize { true } else { traits.bidirectionalCommit }
        return Planner(largest: largest(traits), isFixed: isFixed)
    }

    /// The decoder for a text of a model that was opened for these options.
    ///
    /// - Parameter source: Of drafts, where it is not the text itself.
    func decoder(
        _ state: DecodingState, _ planner: Planner, source: (any DraftSource)? = nil
    ) throws -> any TokenDecoder {
        let traits = state.model.blockDecoding
        let largest = largest(traits)
        guard largest > 1 else { return NextTokenDecoder(state) }
        if usesSource(traits) {
            return try VerifiedDecoder(
                state, planner, source: source ?? LookupSource(chances: planner.lookups),
                largest: largest)
        }
        guard traits != nil else { throw DecodingError.noMaskToken(blockSize: largest) }
        guard verifies(traits) else {
            return try SetBlockDecoder(state, rule: rule(traits), planner)
        }
        return try VerifiedDecoder(state, planner)
    }
}
