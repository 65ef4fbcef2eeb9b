public import Kernels
public import WeightFile

/// What a pass has to read and to multiply, counted from shapes.
public struct PassWork: Sendable, Equatable {
    /// Weights and cached keys and values read from memory.
    public var bytes: Double
    /// Multiplications with weights and with keys and values.
    public var macs: Double

    public init(bytes: Double, macs: Double) {
        self.bytes = bytes
        self.macs = macs
    }

    /// - Parameters:
    ///   - positions: Of the pass.
    ///   - logitRows: Positions whose logits are computed.
    ///   - context: Positions cached before it.
    ///   - batchCapacity: A longer input reads the weights once per so many positions.
    public init(
        _ model: ModelWork, positions: Int, logitRows: Int, context: Int, batchCapacity: Int
    ) {
        let batches = Double((positions + batchCapacity - 1) / batchCapacity)
        bytes = batches * (Double(model.layerBytes) + Double(context * model.cacheBytesPerPosition))
        // Each position sees the context and on average half of what is new.
        let seen = Double(context) + Double(positions + 1) / 2
        macs = Double(positions) * (Double(model.layerWeights) + seen * model.macsPerSeenPosition)
        if logitRows > 0 {
            bytes += Double(model.headBytes)
            macs += Double(logitRows) * Double(model.headWeights)
        }
    }
}

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

    public init() {}

    /// Counts the tensors of `file`.
    ///
    /// - Parameter kvEncoding: How keys and values are kept.
    public init(_ file: WeightFile, kvEncoding: KVLayer.Encoding) {
        let config = file.config
        let head = config.tieWordEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"
        for tensor in file.tensors where tensor.rows > 1 {
            if tensor.name.hasPrefix("model.layers.") {
                layerWeights += tensor.rows * tensor.columns
                layerBytes += tensor.byteCount
            } else if tensor.name == head {
                headWeights = tensor.rows * tensor.columns
                headBytes = tensor.byteCount
            }
        }
        let scale = kvEncoding == .int8 ? 4 : 0
        let element = kvEncoding == .int8 ? 1 : kvEncoding == .f16 ? 2 : 4
        cacheBytesPerPosition =
            2 * config.layerCount * config.kvHeadCount * (config.headDim * element + scale)
        macsPerSeenPosition = Double(2 * config.layerCount * config.headCount * config.headDim)
    }
}

/// The shortest time that a machine's two limits allow.
public struct Roofline: Sendable, Equatable {
    public var limits: MachineLimits

    public init(_ limits: MachineLimits) { self.limits = limits }

    public enum Bound: String, Sendable {
        case reading, multiplying
    }

    /// Seconds that reading alone takes.
    public func readSeconds(_ work: PassWork) -> Double {
        work.bytes / limits.readBytesPerSecond
    }

    /// Seconds that multiplying alone takes.
    public func multiplySeconds(_ work: PassWork) -> Double {
        work.macs / limits.int8MacsPerSecond
    }

    /// Seconds if reading and multiplying overlap without loss.
    public func seconds(_ work: PassWork) -> Double {
        max(readSeconds(work), multiplySeconds(work))
    }

    /// Which limit decides.
    public func bound(_ work: PassWork) -> Bound {
        readSeconds(work) >= multiplySeconds(work) ? .reading : .multiplying
    }

    /// Positions at which multiplying takes as long as reading once.
    public func balancedPositions(_ model: ModelWork) -> Double {
        let bytes = Double(model.layerBytes + model.headBytes)
        let weights = Double(model.layerWeights + model.headWeights)
        guard weights > 0 else { return 0 }
        return bytes / limits.readBytesPerSecond * limits.int8MacsPerSecond / weights
    }
}
