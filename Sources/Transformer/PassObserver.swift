public import TesseraWeightFile

/// The steps of a pass, in order; those from `attentionNorm` to `down` once per layer.
public enum PassOperation: Int, CaseIterable, Sendable, BitwiseCopyable {
    /// Positions, slots, visible ranges and rotary angles.
    case prepare
    case embed
    case attentionNorm
    /// The q, k and v projections and their biases.
    case queryKeyValue
    /// Norms of queries and keys, RoPE, placing of sinks, codes of keys and values.
    case storeKeyValue
    case attend
    case attentionOutput
    /// Norms between attention and MLP: one after attention counts here, one after the MLP for what
    /// comes next.
    case mlpNorm
    case gateUp
    case activation
    case down
    case finalNorm
    case head
    /// Not steps but parts of products: waiting for weights that are read from disk in every pass,
    case input
    /// and decoding coded tiles.
    case decompress
    /// Not part of a pass: drawing tokens from its logits.
    case sample
}

extension TensorRole.Product {
    /// The step that multiplies.
    public var operation: PassOperation {
        switch self {
        case .queryKeyValue: .queryKeyValue
        case .attentionOutput: .attentionOutput
        case .gateUp: .gateUp
        case .down: .down
        case .head: .head
        }
    }
}

/// Called for every step of a pass, for timing; see ``Workspace/observer``.
public protocol PassObserver: AnyObject {
    /// A batch begins.
    ///
    /// - Parameter tokens: Committed and open ones together.
    func passBegins(tokens: Int)
    /// A step is done; the next begins.
    ///
    /// - Parameter layer: 0 for steps outside the layers.
    func finished(_ operation: PassOperation, layer: Int)
}
