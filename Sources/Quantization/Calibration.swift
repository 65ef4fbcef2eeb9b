public import Import
public import Kernels
public import WeightFile

/// What a text told of a model: which errors matter, and which can be made up for.
public struct Calibration: Sendable {
    /// How the columns of a matrix make up for each other's errors, by whether rows are turned and the tensor's name.
    public var feedback: [Bool: [String: ColumnFeedback]] = [:]
    /// Divergence that a relative squared error of 1 would cost, by the tensor's name.
    public var importance: [String: Double] = [:]
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

    /// Of one tensor; noise of the measurement may not make it worthless.
    func importance(of name: String) -> Double? {
        importance[name].map { max($0, (importance.values.max() ?? 0) * 1e-5) }
    }
}

extension StorageClass {
    /// The activations that matrices of integers stored so multiply.
    public var form: Matrix.Forms { Matrix.Storage(rawValue: rawValue)?.form ?? .straight }
}
