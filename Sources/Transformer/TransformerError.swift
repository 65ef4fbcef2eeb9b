/// Why a model could not be set up for a run.
public enum TransformerError: Error, Equatable, CustomStringConvertible {
    /// A window that holds no position besides the attention sinks.
    case contextTooShort(Int, sinks: Int)
    /// A pass that could not hold a block and the one before it.
    case batchTooSmall(Int)
    /// The kernels could not be set up.
    case kernels(String)

    public var description: String {
        switch self {
        case .contextTooShort(let length, let sinks):
            "a context of \(length) positions leaves no room beside \(sinks) attention sinks; "
                + "ask for at least \(sinks + 16)"
        case .batchTooSmall(let capacity):
            "a batch of \(capacity) positions is too small; the least is 1"
        case .kernels(let reason): reason
        }
    }
}
