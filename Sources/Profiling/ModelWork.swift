public import TesseraKernels
public import TesseraTransformer
public import TesseraWeightFile

/// Sizes of a model that decide the cost of its passes.
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
    /// Positions that layers see at most, with the share of layers that do; empty: all see all.
    public var windows: [Int: Double] = [:]

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
        let head = config.headName
        for tensor in file.tensors where tensor.rows > 1 {
            let weights = tensor.rows * tensor.columns
            let role = TensorRole(matrix: tensor.name)
            if tensor.name == head {
                headWeights = weights
                headBytes = tensor.byteCount
            } else if role != nil, role != .embedding {
                layerWeights += weights
                layerBytes += tensor.byteCount
            }
            let product = tensor.name == head ? .head : role?.product
            guard let operation = product?.operation else { continue }
            matrices[operation, default: MatrixWork()].weights += weights
            matrices[operation, default: MatrixWork()].bytes += tensor.byteCount
        }
        for layer in config.layers where layer.window > 0 {
            windows[layer.window, default: 0] += 1 / Double(config.layerCount)
        }
        cacheBytesPerPosition =
            config.layerCount
            * KVLayer.slotBytes(
                kvHeads: config.kvHeadCount, headDim: config.headDim, encoding: kvEncoding)
        macsPerSeenPosition = Double(2 * config.layerCount * config.headCount * config.headDim)
    }

    /// Positions that a query sees of `positions` in a layer, on average over layers.
    func seen(of positions: Double) -> Double {
        windows.reduce(positions) { $0 - $1.value * max(0, positions - Double($1.key)) }
    }

    /// Bytes that one step of a pass reads and products that it makes, all layers together; nil for steps that only
    /// move or transform activations.
    public func work(
        of operation: PassOperation, positions: Int, sequences: Int = 1, logitRows: Int,
        context: Int, batchCapacity: Int
    ) -> PassWork? {
        let batches = Double((positions + batchCapacity - 1) / batchCapacity)
        if operation == .attend {
            let seen = self.seen(of: Double(context) + Double(positions / sequences + 1) / 2)
            return PassWork(
                bytes: batches * Double(sequences) * self.seen(of: Double(context))
                    * Double(cacheBytesPerPosition),
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
