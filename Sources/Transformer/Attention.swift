internal import Kernels
internal import WeightFile

extension Transformer {
    /// Adds one layer's attention to the residual stream.
    ///
    /// - Parameters:
    ///   - tokens: Rows of `scratch.hidden`.
    ///   - committed: How many of them, from the first, enter the cache for good.
    func attention(_ layer: DecoderLayer, _ index: Int, tokens: Int, committed: Int) {
        let s = scratch
        let group = layer.queryKeyValue
        let eps = config.rmsNormEps
        let kv = cache.layers[index]
        compute.rmsNorm(
            s.hidden, tokens: tokens, weight: layer.inputNorm, eps: eps, into: s.normed)
        compute.multiply(group, s.normed, tokens: tokens, into: s.qkv)
        for (part, bias) in layer.biases.enumerated() {
            compute.addBias(
                bias, to: s.qkv, offset: group.rowOffsets[part], stride: group.outputStride,
                tokens: tokens)
        }
        let queries = heads(group, 0, config.headCount)
        let keys = heads(group, 1, config.kvHeadCount)
        let values = heads(group, 2, config.kvHeadCount)
        keepSinks(index, keys, values, committed: committed)
        compute.rotate(
            s.qkv, queries, tokens: tokens,
            by: rotary.queryRotation(norm: layer.queryNorm, eps: eps))
        compute.rotate(
            s.qkv, keys, tokens: tokens, by: rotary.keyRotation(norm: layer.keyNorm, eps: eps))
        compute.store(s.qkv, keys: keys, values: values, tokens: tokens, slots: s.slots, into: kv)
        compute.attend(
            s.qkv, queries: queries, tokens: tokens, visible: s.visible,
            scale: 1 / Float(config.headDim).squareRoot(), layer: kv, into: s.attended)
        compute.multiplyAdding(layer.output, s.attended, tokens: tokens, into: s.hidden)
    }

    private func heads(_ group: MatrixGroup, _ part: Int, _ count: Int) -> HeadLayout {
        HeadLayout(
            offset: group.rowOffsets[part], stride: group.outputStride, heads: count,
            headDim: config.headDim)
    }

    /// Remembers keys and values of the sinks before RoPE.
    private func keepSinks(
        _ index: Int, _ keys: HeadLayout, _ values: HeadLayout, committed: Int
    ) {
        guard position < cache.sinks else { return }
        let width = keys.heads * keys.headDim
        let rows = cache.sinkRows[index]
        for token in 0..<min(committed, cache.sinks - position) {
            let from = token * keys.stride
            let to = (position + token) * 2 * width
            for column in 0..<width {
                rows[to + column] = scratch.qkv[from + keys.offset + column]
                rows[to + width + column] = scratch.qkv[from + values.offset + column]
            }
        }
    }

    /// Moves the sinks of every layer to just before the oldest position that this pass sees. Does
    /// nothing while that is where they are, as it is until the first eviction.
    func moveSinks() {
        let shift = cache.oldest(for: position) - cache.sinks
        guard cache.sinks > 0, shift != cache.sinkShift else { return }
        cache.sinkShift = shift
        sinkRotary.set(from: shift, count: cache.sinks)
        let width = config.kvHeadCount * config.headDim
        let keys = HeadLayout(
            offset: 0, stride: 2 * width, heads: config.kvHeadCount, headDim: config.headDim)
        let values = HeadLayout(
            offset: width, stride: 2 * width, heads: config.kvHeadCount, headDim: config.headDim)
        for (index, layer) in layers.enumerated() {
            for at in 0..<cache.sinks * 2 * width {
                scratch.sinkRows[at] = cache.sinkRows[index][at]
            }
            compute.rotate(
                scratch.sinkRows, keys, tokens: cache.sinks,
                by: sinkRotary.keyRotation(norm: layer.keyNorm, eps: config.rmsNormEps))
            for sink in 0..<cache.sinks { scratch.sinkSlots[sink] = Int32(sink) }
            compute.store(
                scratch.sinkRows, keys: keys, values: values, tokens: cache.sinks,
                slots: scratch.sinkSlots, into: cache.layers[index])
        }
    }
}
