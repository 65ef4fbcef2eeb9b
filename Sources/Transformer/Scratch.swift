internal import TesseraKernels
internal import TesseraResidency
internal import TesseraWeightFile

/// Every buffer of a pass, allocated once.
final class Scratch {
    let ids: Buffer<Int32>  // [batch]
    let slots: [Buffer<Int32>]  // [batch], for each view of the cache
    let visible: [Buffer<Int32>]  // [batch, 4, 2], likewise
    let logitRows: Buffer<Int32>  // [logitCapacity]
    let hidden: Buffer<Float>  // [batch, hiddenSize], the residual stream
    /// [batch, hiddenSize]: what a part of a layer gives, where a norm stands after it.
    let update: Buffer<Float>
    let normed: Activations  // [batch, hiddenSize]
    let qkv: Buffer<Float>  // [batch, q | k | v]
    let attended: Activations  // [batch, headCount * headDim]
    let gateUp: Buffer<Float>  // [batch, gate | up]
    let activated: Activations  // [batch, intermediateSize]
    let headInput: Activations  // [logitCapacity, hiddenSize]

    init(
        _ config: ModelConfig, _ layer: DecoderLayer, _ batch: Int, logitCapacity: Int,
        forms: Matrix.Forms
    ) {
        func activations(_ columns: Int, tokens: Int = batch) -> Activations {
            Activations(tokenCapacity: tokens, columns: columns, forms: forms)
        }
        ids = Buffer(count: batch)
        let views = config.windows.indices
        slots = views.map { _ in Buffer(count: batch) }
        visible = views.map { _ in Buffer(count: batch * 8) }
        logitRows = Buffer(count: logitCapacity)
        hidden = Buffer(count: batch * config.hiddenSize)
        update = Buffer(count: config.hasOutputNorms ? batch * config.hiddenSize : 0)
        normed = activations(config.hiddenSize)
        qkv = Buffer(count: batch * layer.queryKeyValue.matrices.outputStride)
        attended = activations(config.headCount * config.headDim)
        gateUp = Buffer(count: batch * layer.gateUp.matrices.outputStride)
        activated = activations(config.intermediateSize)
        headInput = activations(config.hiddenSize, tokens: logitCapacity)
    }
}

extension ModelConfig {
    /// Whether norms stand after attention and MLP in some layer.
    var hasOutputNorms: Bool { layers.contains { $0.norms.standAfter } }
}
