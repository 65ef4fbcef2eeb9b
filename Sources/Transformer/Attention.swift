internal import Kernels
internal import Residency
internal import WeightFile

extension Transformer {
    /// Adds one layer's attention to the residual stream.
    ///
    /// - Parameters:
    ///   - tokens: Rows of `scratch.hidden`.
    ///   - committed: How many of them, from the first, enter the cache for good.
    ///   - observer: Is told of every step.
    func attention(
        _ layer: DecoderLayer, _ index: Int, tokens: Int, committed: Int,
        _ observer: (any PassObserver)?
    ) {
        let s = scratch
        let group = layer.queryKeyValue.matrices
        let eps = config.rmsNormEps
        let kv = cache.layers[index]
        compute.rmsNorm(
            s.hidden, tokens: tokens, weight: layer.inputNorm, eps: eps, into: s.normed)
        observer?.finished(.attentionNorm, layer: index)
        layer.queryKeyValue.forEachPart {
            compute.multiply(group, s.normed, tokens: tokens, into: s.qkv)
        }
        for part in layer.biases.indices {
            compute.addBias(
                layer.biases[part], to: s.qkv, offset: group.rowOffsets[part],
                stride: group.outputStride,
                tokens: tokens)
        }
        observer?.finished(.queryKeyValue, layer: index)
        let queries = heads(group, 0, config.headCount)
        let keys = heads(group, 1, config.kvHeadCount)
        let values = heads(group, 2, config.kvHeadCount)
        cache.placement.keep(
            s.qkv, keys: keys, values: values, positions: position..<position + committed,
            layer: index)
        placeSinks(layer, index)
        compute.rotateAndStore(
            s.qkv, HeadLayouts(queries: queries, keys: keys, values: values), tokens: tokens,
            by: (
                queries: rotary.queryRotation(norm: layer.queryNorm, eps: eps),
                keys: rotary.keyRotation(norm: layer.keyNorm, eps: eps)
            ), slots: s.slots, into: kv)
        observer?.finished(.storeKeyValue, layer: index)
        compute.attend(
            s.qkv, queries: queries, tokens: tokens, visible: s.visible,
            scale: 1 / Float(config.headDim).squareRoot(), layer: kv, into: s.attended)
        observer?.finished(.attend, layer: index)
        layer.output.forEachPart {
            compute.multiplyAdding(
                layer.output.matrices, s.attended, tokens: tokens, into: s.hidden)
        }
        observer?.finished(.attentionOutput, layer: index)
    }

    private func heads(_ group: MatrixGroup, _ part: Int, _ count: Int) -> HeadLayout {
        HeadLayout(
            offset: group.rowOffsets[part], stride: group.outputStride, heads: count,
            headDim: config.headDim)
    }

    /// Stores the sinks of one layer at the places that this pass needs and that are new.
    private func placeSinks(_ layer: DecoderLayer, _ index: Int) {
        let placement = cache.placement
        guard placement.pending > 0 else { return }
        placement.load(layer: index)
        let tokens = placement.pending * placement.sinks
        let keys = placement.keyLayout(kvHeads: config.kvHeadCount)
        compute.rotate(
            placement.rows, keys, tokens: tokens,
            by: sinkRotary.keyRotation(norm: layer.keyNorm, eps: config.rmsNormEps))
        compute.store(
            placement.rows, keys: keys,
            values: placement.valueLayout(kvHeads: config.kvHeadCount), tokens: tokens,
            slots: placement.pendingSlots, into: cache.layers[index])
    }
}
