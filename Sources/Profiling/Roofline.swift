public import TesseraKernels

/// Bytes that a pass must read and products that it must make, counted from shapes.
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
    ///   - positions: Positions of the pass.
    ///   - sequences: Texts that share it in equal parts.
    ///   - logitRows: Positions whose logits are computed.
    ///   - context: Positions cached before it.
    ///   - batchCapacity: A longer input reads the weights once per this many positions.
    public init(
        _ model: ModelWork, positions: Int, sequences: Int = 1, logitRows: Int, context: Int,
        batchCapacity: Int
    ) {
        let batches = Double((positions + batchCapacity - 1) / batchCapacity)
        let cached = model.seen(of: Double(context)) * Double(model.cacheBytesPerPosition)
        bytes = batches * (Double(model.layerBytes) + Double(sequences) * cached)
        // Each position sees the context and on average half of the new positions.
        let seen = model.seen(of: Double(context) + Double(positions / sequences + 1) / 2)
        macs = Double(positions) * (Double(model.layerWeights) + seen * model.macsPerSeenPosition)
        if logitRows > 0 {
            bytes += Double(model.headBytes)
            macs += Double(logitRows) * Double(model.headWeights)
        }
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
