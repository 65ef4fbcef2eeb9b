/// Why a model could not be quantized.
public enum QuantizationError: Error, Equatable, CustomStringConvertible {
    /// A weight is infinite or not a number.
    case notFinite(tensor: String, row: Int, column: Int)
    /// A group's values are too large for a half-precision scale.
    case outOfRange(tensor: String, row: Int)
    /// An override that names no tensor, or no encoding, or one its tensor cannot have.
    case badOverride(String, reason: String)
    /// A file that the coarsest steps do not reach; sizes in bytes.
    case tooSmall(bytes: Int, least: Int)
    /// A divergence that even the finest codes do not reach, with their divergence.
    case tooFar(least: Double)
    /// A file became larger than it may be, and was not kept.
    case tooLarge(bytes: Int, limit: Int)
    case cancelled

    public var description: String {
        switch self {
        case .notFinite(let tensor, let row, let column):
            "tensor '\(tensor)' holds a value that is not finite at row \(row), column \(column); "
                + "the model is damaged"
        case .outOfRange(let tensor, let row):
            "tensor '\(tensor)', row \(row): values beyond half precision; "
                + "keep it with --tensor '\(tensor)=f32'"
        case .badOverride(let text, let reason): "--tensor '\(text)': \(reason)"
        case .tooSmall(let bytes, let least):
            "\(bytes) bytes are too few for this model: it takes at least \(least)"
        case .tooFar(let least): "the finest codes diverge by \(least)"
        case .tooLarge(let bytes, let limit):
            "the file takes \(bytes) bytes, more than \(limit)"
        case .cancelled: "cancelled"
        }
    }

    /// Whether the size that it calls possible is nearer to the wish.
    func needsLess(than other: QuantizationError) -> Bool {
        switch (self, other) {
        case (.tooSmall(_, let one), .tooSmall(_, let another)): one < another
        case (.tooFar(let one), .tooFar(let another)): one < another
        default: false
        }
    }
}
