/// A decoder-only transformer as data: families differ only in these values. Names are
/// those of Hugging Face's `config.json`. Formats/TSR.md §5.
public struct ModelConfig: Equatable, Sendable {
    /// Display name, e.g. `SmolLM2-135M-Instruct`. UTF-8, at most 255 bytes.
    public var name = ""
    /// Hugging Face `model_type` of the source, for display only. At most 31 bytes.
    public var modelType = ""
    /// Width of the residual stream.
    public var hiddenSize = 0
    /// Width of the gated MLP.
    public var intermediateSize = 0
    /// What each layer computes, in order.
    public var layers: [LayerSpec] = []
    /// Query heads.
    public var headCount = 0
    /// Key/value heads; divides `headCount`.
    public var kvHeadCount = 0
    /// Width of one head; even. Not derived: `headCount * headDim` may differ from `hiddenSize`.
    public var headDim = 0
    /// Rows of the embedding and of the output head; of a drafter, those of its target.
    public var vocabularySize = 0
    /// Longest sequence the model was trained for, in positions.
    public var maxPositions = 0
    public var rmsNormEps: Float = 1e-5
    /// Rotations that layers choose from.
    public var rotaryTables: [RotaryTable] = []
    /// Factor on the embedding of each token (Gemma 3, Granite).
    public var embeddingScale: Float = 1
    /// Queries after RoPE are multiplied by 1 + beta ln(1 + floor(position / original)); nil: by 1.
    public var queryScaling: QueryScaling?
    /// The output head is the embedding.
    public var tieWordEmbeddings = false
    /// How the model fills blocks of masked positions; nil for next-token prediction only.
    public var blockDecoding: BlockDecoding?
    /// What `generate` uses where the user names nothing.
    public var sampling = SamplingDefaults()
    /// Settings of a block drafter for another model; nil for models that run alone.
    public var drafter: Drafter?

    public init() {}

    public var layerCount: Int { layers.count }

    /// Ministral 3's position-dependent query scale.
    public struct QueryScaling: Equatable, Sendable {
        /// `llama_4_scaling_beta`.
        public var beta: Float
        /// `original_max_position_embeddings`, > 0.
        public var originalMaxPositions: Int
        public init(beta: Float, originalMaxPositions: Int) {
            self.beta = beta
            self.originalMaxPositions = originalMaxPositions
        }
    }

    /// How a model with a masked-token objective is decoded (arXiv 2509.04185 and its relatives).
    public struct BlockDecoding: Equatable, Sendable {
        /// Input id of an open position; its own logit is never sampled.
        public var maskToken: Int
        /// Block size trained with; 1...64.
        public var blockSize: Int
        /// A block is filled in parts of this many positions, one after the other; 0: as a whole.
        public var subBlockSize: Int
        /// Whether the logits at a position predict the token at the *next* position.
        public var shiftedLogits: Bool
        /// Whether a finished block's keys and values come from its bidirectional pass
        /// (block-causal past) instead of a causal one.
        public var bidirectionalCommit: Bool
        /// Reveal where max p exceeds this; 0 means the entropy-bounded sampler.
        public var confidenceThreshold: Float
        public init(
            maskToken: Int, blockSize: Int, subBlockSize: Int = 0, shiftedLogits: Bool = false,
            bidirectionalCommit: Bool = false, confidenceThreshold: Float = 0
        ) {
            self.maskToken = maskToken
            self.blockSize = blockSize
            self.subBlockSize = subBlockSize
            self.shiftedLogits = shiftedLogits
            self.bidirectionalCommit = bidirectionalCommit
            self.confidenceThreshold = confidenceThreshold
        }
    }

    /// `generation_config.json`. Temperature 0 is greedy; topK 0 and topP 1 are off.
    public struct SamplingDefaults: Equatable, Sendable {
        public var temperature: Float = 0
        public var topK = 0
        public var topP: Float = 1
        public init() {}
    }
}
