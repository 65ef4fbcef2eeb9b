public import TesseraResidency
internal import TesseraWeightFile

/// Why a model could not be set up for a run, or a pass could not be made.
public enum TransformerError: Error, Equatable, CustomStringConvertible {
    /// A window that holds only the attention sinks and no other position.
    case contextTooShort(Int, sinks: Int)
    /// A context longer than the model knows positions.
    case contextTooLong(Int, maximum: Int)
    /// Positions per pass that no pass can have.
    case badBatch(Int)
    /// Rows of logits per pass that no pass can have.
    case badLogitRows(Int)
    /// Heads wider, or sharing keys among more queries, than the kernels have room for.
    case unsupportedHeads(headDim: Int, group: Int)
    /// A cache and logits larger than the machine's memory, in bytes.
    case notEnoughMemory(needed: Int, available: Int)
    /// The cache of a further sequence, and what memory leaves for it, in bytes.
    case noRoomForSequence(needed: Int, available: Int)
    /// A coded tile cannot be decoded.
    case damagedWeights(path: String)
    /// The weights could not be set up, or not be read in a pass.
    case residency(ResidencyError)
    /// The kernels could not be set up.
    case kernels(String)
    /// A drafter without its target, a model that drafts for none, or two that do not fit, and why.
    case wrongDrafter(path: String, String)

    public var description: String {
        switch self {
        case .contextTooShort(let length, let sinks):
            "a context of \(length) positions leaves no room next to \(sinks) attention sinks; "
                + "ask for at least \(max(0, sinks) + 16)"
        case .contextTooLong(let length, let maximum):
            "a context of \(length) positions: the model knows \(maximum); "
                + "ask for no more than these"
        case .badBatch(let capacity):
            "a pass of at most \(capacity) positions; choose 1 to 65536"
        case .badLogitRows(let rows):
            "\(rows) rows of logits per pass; choose 1 to 65536"
        case .unsupportedHeads(let headDim, let group):
            "heads of \(headDim) dimensions, \(group) queries to a key: this build takes up to "
                + "\(ModelConfig.largestHeadDim) and \(ModelConfig.largestHeadGroup); "
                + "choose another model"
        case .notEnoughMemory(let needed, let available):
            "the cache and the logits need \(needed / 1_048_576) MiB and this machine has "
                + "\(available / 1_048_576) MiB; ask for a shorter context"
        case .noRoomForSequence(let needed, let available):
            "a sequence's cache takes \(needed >> 20) MiB, and memory has \(available >> 20) MiB left "
                + "for it; run fewer at a time, or ask for a shorter context"
        case .damagedWeights(let path):
            "'\(path)': weights are damaged; run 'tessera verify', then make the file anew"
        case .residency(let error): error.description
        case .kernels(let reason): reason
        case .wrongDrafter(let path, let reason): "'\(path)' \(reason)"
        }
    }
}
