public import Kernels
public import Transformer
public import WeightFile

/// Sizes of a model that decide what its passes cost.
public struct ModelWork: Sendable, Equatable {
    /// Weights in the matrices of all layers.
    public var layerWeights = 0
    public var layerBytes = 0
    /// Weights of the output head.
    public var headWeights = 0
    public var headBytes = 0
    /// Keys and values of one position in all layers.
    public var cacheBytesPerPosition = 0
    /// Multiplications of one query with one cached position, in all layers and heads.
    public var macsPerSeenPosition = 0.0

    /// The matrices of each step that multiplies, all layers together.
    public var matrices: [PassOperation: MatrixWork] = [:]

    /// Weights of some matrices, and the bytes they take.
    public struct MatrixWork: Sendable, Equatable {
        public var weights = 0
        public var bytes = 0
        public init(weights: Int = 0, bytes: Int = 0) {
            self.weights = weights
            self.bytes = bytes
        }
    }

    public init() {}

    /// Counts the tensors of `file`.
    ///
    /// - Parameter kvEncoding: How keys and values are kept.
    public init(_ file: WeightFile, kvEncoding: KVLayer.Encoding) {
        let config = file.config
        let head = config.tieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"
        for tensor in file.tensors where tensor.rows > 1 {
            let weights = tensor.rows * tensor.columns
            if tensor.name.hasPrefix("model.layers.") {
                layerWeights += weights
                layerBytes += tensor.byteCount
            } else if tensor.name == head {
                headWeights = weights
                headBytes = tensor.byteCount
            }
            guard let operation = Self.operation(of: tensor.name, head: head) else { continue }
            matrices[operation, default: MatrixWork()].weights += weights
            matrices[operation, default: MatrixWork()].bytes += tensor.byteCount
        }
        cacheBytesPerPosition =
            config.layerCount
            * KVLayer.slotBytes(
                kvHeads: config.kvHeadCount, headDim: config.headDim, encoding: kvEncoding)
        macsPerSeenPosition = Double(2 * config.layerCount * config.headCount * config.headDim)
    }

    /// The step that multiplies with a tensor.
    private static func operation(of name: String, head: String) -> PassOperation? {
        if name == head { return .head }
        let parts = name.split(separator: ".")
        guard parts.count == 6, parts[1] == "layers" else { return nil }
        switch parts[4] {
        case "q_proj", "k_proj", "v_proj": return .queryKeyValue
        case "o_proj": return .attentionOutput
        case "gate_proj", "up_proj": return .gateUp
        case "down_proj": return .down
        default: return nil
        }
    }

    /// What one step of a pass reads and multiplies, all layers together; nil for steps that only
    /// move or transform activations.
    public func work(
        of operation: PassOperation, positions: Int, logitRows: Int, context: Int,
        batchCapacity: Int
    ) -> PassWork? {
        let batches = Double((positions + batchCapacity - 1) / batchCapacity)
        if operation == .attend {
            let seen = Double(context) + Double(positions + 1) / 2
            return PassWork(
                bytes: batches * Double(context * cacheBytesPerPosition),
                macs: Double(positions) * seen * macsPerSeenPosition)
        }
        guard let matrix = matrices[operation] else { return nil }
        if operation == .head {
            guard logitRows > 0 else { return nil }
            return PassWork(
                bytes: Double(matrix.bytes), macs: Double(logitRows) * Double(matrix.weights))
        }
        return PassWork(
            bytes: batches * Double(matrix.bytes), macs: Double(positions) * Double(matrix.weights))
    }
}
