public import TesseraKernels
internal import TesseraResidency
internal import TesseraWeightFile

/// Inputs and products of multiplications, for observers of a pass.
extension Workspace {
    /// A matrix's product in a buffer: `[tokens, stride]`, from `offset`, `columns` wide.
    public struct Product {
        public let buffer: Buffer<Float>
        public let offset: Int
        public let stride: Int
        public let columns: Int
    }

    /// The step whose result the matrices of `operation` multiply, and that result.
    public func inputs(of operation: PassOperation) -> (after: PassOperation, values: Activations)?
    {
        switch operation {
        case .queryKeyValue: (.attentionNorm, scratch.normed)
        case .attentionOutput: (.attend, scratch.attended)
        case .gateUp: (.mlpNorm, scratch.normed)
        case .down: (.activation, scratch.activated)
        case .head: (.finalNorm, scratch.headInput)
        default: nil
        }
    }

    /// Where the product of a step's matrix is when the step is done. A step that adds gives the sum, unless a
    /// norm comes between.
    ///
    /// - Parameters:
    ///   - index: Index of the layer.
    ///   - matrix: The index among the matrices that share their input: q, k, v are 0, 1, 2, and gate, up are
    ///     0, 1. Every other matrix has index 0.
    public func product(
        of operation: PassOperation, layer index: Int, matrix: Int
    ) -> Product? {
        let layer = model.layers[index]
        let normed =
            operation == .attentionOutput
            ? layer.attentionOutputNorm != nil
            : operation == .down && layer.mlpOutputNorm != nil
        let hidden = Product(
            buffer: normed ? scratch.update : scratch.hidden, offset: 0,
            stride: model.config.hiddenSize,
            columns: model.config.hiddenSize)
        switch operation {
        case .embed, .attentionOutput, .down: return hidden
        case .queryKeyValue: return product(layer.queryKeyValue.matrices, matrix, scratch.qkv)
        case .gateUp: return product(layer.gateUp.matrices, matrix, scratch.gateUp)
        case .head: return product(model.head.matrices, 0, logits)
        default: return nil
        }
    }

    private func product(_ group: MatrixGroup, _ matrix: Int, _ buffer: Buffer<Float>) -> Product {
        Product(
            buffer: buffer, offset: group.rowOffsets[matrix], stride: group.outputStride,
            columns: group.matrices[matrix].rows)
    }
}
