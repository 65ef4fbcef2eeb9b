extension ModelConfig {
    /// A block drafter: layers that read another model's residual stream and guess several tokens at once.
    /// Formats/TSR.md §5.3.
    public struct Drafter: Equatable, Sendable {
        /// The input of the head that predicts chances.
        public enum Confidence: UInt32, Equatable, Sendable {
            case none = 0
            /// The last layer's normed output.
            case output = 1
            /// The same, and the Markov head's factors of the previous token.
            case outputAndPrevious = 2
        }

        /// Layers of the target, from 0, after which its residual stream is read, in the order in which they are
        /// joined; -1: the embedding.
        public var taps: [Int] = []
        /// Layers of the target.
        public var targetLayers = 0
        /// Rows of a block as trained, the anchor's included; fewer can be used. 1...64.
        public var blockSize = 0
        /// Id whose embedding, in the target, stands for a token that is not known.
        public var maskToken = 0
        /// Whether a row predicts the token after its own place (DSpark); else the one at its place, and the
        /// anchor's row predicts nothing (DFlash).
        public var predictsNext = false
        /// Columns of the factors of what the token before adds to logits; 0: there are none.
        public var markovRank = 0
        public var confidence = Confidence.none
        /// Ids that the rows of the head stand for, ascending; empty: all of the vocabulary.
        public var draftTokens: [UInt32] = []

        public init() {}

        /// Tokens that a block gives at most.
        public var most: Int { predictsNext ? blockSize : blockSize - 1 }
    }

    /// Why a model of this kind cannot be loaded with such a target, or without one; nil if it can.
    public func misfit(as target: ModelConfig?) -> String? {
        guard let drafter else {
            return target == nil ? nil : "is not a block drafter, but a model of its own"
        }
        guard let target else {
            return "is a drafter, which only drafts for another model: use that with --draft"
        }
        let sizes = [
            ("a hidden size of", hiddenSize, target.hiddenSize),
            ("a vocabulary of", vocabularySize, target.vocabularySize),
            ("a target of this number of layers:", drafter.targetLayers, target.layerCount),
        ]
        guard let (what, mine, its) = sizes.first(where: { $0.1 != $0.2 }) else { return nil }
        return "drafts for \(what) \(mine), and '\(target.name)' has \(its)"
    }

    /// Rows of the head: a drafter may have fewer than there are tokens.
    public var headRows: Int {
        guard let drafter, !drafter.draftTokens.isEmpty else { return vocabularySize }
        return drafter.draftTokens.count
    }

    /// Columns of the head that tells chances.
    var confidenceInputs: Int {
        switch drafter?.confidence ?? .none {
        case .none: 0
        case .output: hiddenSize
        case .outputAndPrevious: hiddenSize + (drafter?.markovRank ?? 0)
        }
    }
}

// A drafter as it stands in a file. Formats/TSR.md §5.3, rule 39.
extension ConfigRecord {
    private static let predictsNext: UInt32 = 1

    static func readDrafter(
        _ fields: inout FieldReader, into config: inout ModelConfig
    ) throws(Violation) {
        let start = fields.offset
        var drafter = ModelConfig.Drafter()
        drafter.targetLayers = try fields.int32()
        drafter.blockSize = try fields.int32()
        drafter.maskToken = try fields.int32()
        drafter.markovRank = try fields.int32()
        let flags = try fields.u32()
        let confidence = try fields.u32()
        let tapCount = try fields.int32()
        let tokenCount = try fields.int32()
        try require(.drafter, at: start, drafter.targetLayers, in: 1...4096)
        try require(.drafter, at: start + 4, drafter.blockSize, in: 1...64)
        try require(.drafter, at: start + 8, drafter.maskToken, in: 0...config.vocabularySize - 1)
        try require(.drafter, at: start + 12, drafter.markovRank, in: 0...4096)
        try require(.drafter, at: start + 16, flags, in: 0...predictsNext)
        try require(.drafter, at: start + 20, confidence, in: 0...(drafter.markovRank > 0 ? 2 : 1))
        try require(.drafter, at: start + 24, tapCount, in: 1...64)
        try require(.drafter, at: start + 28, tokenCount, in: 0...config.vocabularySize)
        guard !config.tieWordEmbeddings, config.blockDecoding == nil else {
            throw Violation(
                .drafter, at: start, found: "a drafter with an embedding or a mask of its own",
                expected: "neither")
        }
        drafter.predictsNext = flags & predictsNext != 0
        guard drafter.most > 0 else {
            throw Violation(.drafter, at: start + 4, found: 1, expected: "2...64")
        }
        drafter.confidence = .init(rawValue: confidence) ?? .none
        for index in 0..<tapCount {
            let tap = try fields.int32() - 1
            try require(
                .drafter, at: start + 32 + 4 * index, tap, in: -1...drafter.targetLayers - 1)
            drafter.taps.append(tap)
        }
        let begin = fields.offset
        drafter.draftTokens = try fields.array(of: UInt32.self, count: tokenCount)
        for (index, token) in drafter.draftTokens.enumerated() {
            let least = index == 0 ? 0 : Int(drafter.draftTokens[index - 1]) + 1
            guard least <= Int(token), Int(token) < config.vocabularySize else {
                throw Violation(
                    .drafter, at: begin + 4 * index, found: token,
                    expected: "\(least)...\(config.vocabularySize - 1)")
            }
        }
        config.drafter = drafter
    }

    static func write(_ drafter: ModelConfig.Drafter, _ fields: inout FieldWriter) {
        for size in [
            drafter.targetLayers, drafter.blockSize, drafter.maskToken, drafter.markovRank,
        ] {
            fields.int32(size)
        }
        fields.u32(drafter.predictsNext ? predictsNext : 0)
        fields.u32(drafter.confidence.rawValue)
        fields.int32(drafter.taps.count)
        fields.int32(drafter.draftTokens.count)
        for tap in drafter.taps { fields.int32(tap + 1) }
        for token in drafter.draftTokens { fields.u32(token) }
    }
}
