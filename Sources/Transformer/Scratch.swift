internal import Kernels
internal import Residency
internal import WeightFile

/// Every buffer of a pass, allocated once.
final class Scratch {
    let ids: Buffer<Int32>  // [batch]
    let slots: Buffer<Int32>  // [batch]
    let visible: Buffer<Int32>  // [batch, 4, 2]
    let logitRows: Buffer<Int32>  // [logitCapacity]
    let hidden: Buffer<Float>  // [batch, hiddenSize], the residual stream
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
        slots = Buffer(count: batch)
        visible = Buffer(count: batch * 8)
        logitRows = Buffer(count: logitCapacity)
        hidden = Buffer(count: batch * config.hiddenSize)
        normed = activations(config.hiddenSize)
        qkv = Buffer(count: batch * layer.queryKeyValue.matrices.outputStride)
        attended = activations(config.headCount * config.headDim)
        gateUp = Buffer(count: batch * layer.gateUp.matrices.outputStride)
        activated = activations(config.intermediateSize)
        headInput = activations(config.hiddenSize, tokens: logitCapacity)
    }
}
