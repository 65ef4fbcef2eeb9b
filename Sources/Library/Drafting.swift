package import TesseraDecoding
package import TesseraTokenization
package import TesseraTransformer
package import TesseraWeightFile

/// How many tokens a pass should give, and where drafts come from, as the user asks for any model.
package struct Drafting: Sendable {
    /// Where drafts come from.
    package enum Source: Sendable, Equatable {
        /// Masks where the model has them, else lookup.
        case auto
        case off
        case lookup
        case masks
        /// A second model.
        case model
    }

    package var source = Source.auto
    /// For looked-up drafts: further texts that an answer may repeat.
    package var corpus: LookupCorpus?
    /// Positions of a block; nil: as many as pay.
    package var blockSize: Int?
    /// Entropy in nats that a pass may risk.
    package var gamma: Float?
    /// With `gamma`: blocks are filled as the paper says.
    package var paperRule = false
    package var order = RevealRule.ErrorProxy.entropy
    /// Instead of `gamma`: the rule of Fast-dLLM (``RevealRule/factor(_:)``), or the least confidence of each token.
    package var factor: Float?
    package var threshold: Float?
    /// Whether tokens are checked against next-token prediction; nil: unless a risk is named.
    package var verify: Bool?

    package init() {}

    /// Gamma where the user and the model name none: small enough to keep the quality of the text.
    private static let defaultGamma: Float = 0.1
    /// Positions of a pass that verifies looked-up drafts: more positions cost as much as they save, even where
    /// passes wait for a disk.
    private static let sourcePositions = 32
    /// Rows of logits of a pass that texts share, unless they want fewer or one needs more.
    private static let sharedRows = 64

    /// Whether drafts come from a source, and not from masks.
    private func usesSource(_ traits: ModelConfig.BlockDecoding?) -> Bool {
        switch source {
        case .lookup, .model: return true
        case .off, .masks: return false
        case .auto: return corpus != nil || traits == nil && blockSize == nil
        }
    }

    /// Whether tokens are checked against next-token prediction. Unless the user names a risk, or the
    /// model was made for one, they are.
    package func verifies(_ traits: ModelConfig.BlockDecoding?) -> Bool {
        if usesSource(traits) { return true }
        if let verify { return verify }
        guard let traits, gamma == nil, factor == nil, threshold == nil else { return false }
        return !traits.bidirectionalCommit && traits.confidenceThreshold == 0
    }

    /// The largest block that will be asked for: auto keeps to sizes that the model was trained for. With
    /// drafts of a source, the most positions of a pass.
    package func largest(_ traits: ModelConfig.BlockDecoding?) -> Int {
        if let blockSize { return blockSize }
        if source == .off { return 1 }
        return usesSource(traits) ? Self.sourcePositions : traits?.blockSize ?? 1
    }

    /// Rows of logits that a pass over one text may ask for.
    private func logitRows(_ traits: ModelConfig.BlockDecoding?) -> Int {
        let largest = largest(traits)
        guard !usesSource(traits), largest > 1 else { return largest }
        return verifies(traits) ? 2 * largest : largest + 1
    }

    /// Options of the engine for a number of texts at a time. The caller sets memory and contexts.
    package func engineOptions(
        _ traits: ModelConfig.BlockDecoding?, texts: Int = 1
    ) -> TesseraTransformer.Model.Options {
        let (rows, largest) = (logitRows(traits), largest(traits))
        var options = TesseraTransformer.Model.Options()
        options.logitCapacity = min(texts * rows, max(Self.sharedRows, texts, rows))
        options.openCapacity = usesSource(traits) || largest == 1 ? 0 : largest
        options.slides = false
        options.otherBytes = corpus?.bytes ?? 0
        return options
    }

    /// The rule that decides tokens; the model's own threshold where the user names none.
    package func rule(_ traits: ModelConfig.BlockDecoding?) -> RevealRule {
        if let factor { return .factor(factor) }
        if let threshold { return .confidence(threshold: threshold) }
        if gamma == nil, let traits, traits.confidenceThreshold > 0 {
            return .confidence(threshold: traits.confidenceThreshold)
        }
        let gamma = gamma ?? Self.defaultGamma
        return paperRule
            ? .entropyBound(gamma: gamma, order)
            : .firstAndBound(gamma: gamma, order)
    }

    /// The planner, which chooses how much each pass computes, for all texts of a model.
    package func planner(_ traits: ModelConfig.BlockDecoding?) -> Planner {
        guard !usesSource(traits) else { return Planner() }
        guard let traits else { return Planner(isFixed: true) }
        let isFixed = blockSize != nil || traits.bidirectionalCommit
        return Planner(largest: largest(traits), isFixed: isFixed)
    }

    /// Looked-up drafts of a text, from itself and from the corpus where there is one.
    package func lookups(_ planner: Planner) -> LookupSource {
        LookupSource(corpus: corpus, chances: planner.lookups)
    }

    /// The decoder for a text, if the model was opened for these options.
    ///
    /// - Parameter drafts: Their source, where it is not the text itself.
    package func decoder(
        _ state: DecodingState, _ planner: Planner, drafts: (any DraftSource)? = nil
    ) throws -> any TokenDecoder {
        let traits = state.model.blockDecoding
        let largest = largest(traits)
        guard largest > 1 else { return NextTokenDecoder(state) }
        if usesSource(traits) {
            return try VerifiedDecoder(
                state, planner, source: drafts ?? lookups(planner), largest: largest)
        }
        guard traits != nil else { throw DecodingError.noMaskToken(blockSize: largest) }
        guard verifies(traits) else {
            return try SetBlockDecoder(state, rule: rule(traits), planner)
        }
        return try VerifiedDecoder(state, planner)
    }
}

extension LookupCorpus {
    /// Texts as tokens, one after the other, their ends where they are too long.
    package convenience init(_ texts: [String], _ tokenizer: Tokenizer) {
        // Few tokens have more bytes than this; the end of a longer text holds as many tokens as are kept.
        let most = 16 * Self.capacity
        let ids = texts.flatMap { text in
            let end =
                text.utf8.count > most
                ? String(decoding: text.utf8.suffix(most), as: UTF8.self) : text
            return tokenizer.encode(end, specials: .asText)
        }
        self.init(ids)
    }
}
