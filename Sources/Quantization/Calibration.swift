public import TesseraImport
public import TesseraKernels
public import TesseraWeightFile

/// The result of running a text through a model: which errors matter, and how columns make up for errors.
public struct Calibration: Sendable {
    /// How the columns of a matrix make up for each other's errors, by whether rows are turned and the tensor's name.
    public var feedback: [Bool: [String: ColumnFeedback]] = [:]
    /// Divergence that a relative squared error of 1 would cause, by the tensor's name.
    public var importance: [String: Double] = [:]
    /// Mean KL for sums of importance times error, when all matrices have errors; smallest sum first. The larger the sum, the
    /// less each part adds.
    public var together: [(sum: Double, divergence: Double)] = []
    /// Names the text and what was done with it.
    public let key: String

    public init(key: String) { self.key = key }

    /// Root of the mean square of a tensor's values, on a sample.
    public static func deviation(
        of tensor: SourceTensor, in source: any TensorSource
    ) throws -> Float {
        try TileSample(tensor, of: source, storage: .zstd).deviation
    }

    func feedback(of name: String, _ storage: StorageClass) -> ColumnFeedback? {
        feedback[storage.form == .turned]?[name]
    }

    /// Importance of one tensor, with a floor: noise of the measurement must not make a tensor worthless.
    public func importance(of name: String) -> Double? {
        importance[name].map { max($0, (importance.values.max() ?? 0) * 1e-5) }
    }

    /// Mean KL of a plan whose losses times importance add up to `sum`.
    func divergence(of sum: Double) -> Double {
        guard let first = together.first, sum > 0 else { return sum }
        let ratios = together.map { max($0.divergence, 1e-12) / $0.sum }
        guard sum > first.sum else { return sum * ratios[0] }
        guard let next = together.firstIndex(where: { $0.sum >= sum }) else {
            return sum * ratios[together.count - 1]
        }
        let (low, high) = (together[next - 1].sum, together[next].sum)
        let part = log2(sum / low) / log2(high / low)
        return sum * ratios[next - 1] * pow2(part * log2(ratios[next] / ratios[next - 1]))
    }

    /// The sum that costs a mean KL.
    func sum(of divergence: Double) -> Double {
        guard !together.isEmpty else { return divergence }
        var (low, high) = (-40.0, 20.0)
        for _ in 0..<60 {
            let middle = (low + high) / 2
            if self.divergence(of: pow2(middle)) <= divergence {
                low = middle
            } else {
                high = middle
            }
        }
        return pow2(low)
    }
}

extension StorageClass {
    /// The activations that matrices of integers stored so multiply.
    public var form: Matrix.Forms { Matrix.Storage(rawValue: rawValue)?.form ?? .straight }
}
