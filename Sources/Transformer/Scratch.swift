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

    init(_ config: ModelConfig, _ layer: DecoderLayer, _ batch: Int, logitCapacity: Int) {
        ids = Buffer(count: batch)
        slots = Buffer(count: batch)
        visible = Buffer(count: batch * 8)
        logitRows = Buffer(count: logitCapacity)
        hidden = Buffer(count: batch * config.hiddenSize)
        normed = Activations(tokenCapacity: batch, columns: config.hiddenSize)
        qkv = Buffer(count: batch * layer.queryKeyValue.matrices.outputStride)
        attended = Activations(tokenCapacity: batch, columns: config.headCount * config.headDim)
        gateUp = Buffer(count: batch * layer.gateUp.matrices.outputStride)
        activated = Activations(tokenCapacity: batch, columns: config.intermediateSize)
        headInput = Activations(tokenCapacity: logitCapacity, columns: config.hiddenSize)
    }
}
