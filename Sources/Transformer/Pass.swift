internal import TesseraKernels
internal import TesseraResidency
internal import TesseraWeightFile

/// The steps of a pass over the rows of all parts of a batch.
extension Workspace {
    /// From ids to logits.
    func compute() throws(TransformerError) {
        do throws(ResidencyError) {
            let last = parts[parts.count - 1]
            try layers(tokens: last.first + last.count)
            let rows = parts[0].rows.lowerBound..<last.rows.upperBound
            if !rows.isEmpty { try head(rows) }
        } catch {
            throw .residency(error)
        }
    }

    private func layers(tokens: Int) throws(ResidencyError) {
        embed(tokens)
        drafter?.keep(scratch.hidden, after: -1, tokens: tokens)
        observer?.finished(.embed, layer: 0)
        for index in firstLayer..<model.layers.count {
            let layer = model.layers[index]
            try attention(layer, index, tokens: tokens, observer)
            try mlp(layer, index, tokens: tokens, observer)
            drafter?.keep(scratch.hidden, after: index, tokens: tokens)
        }
    }

    private func mlp(
        _ layer: DecoderLayer, _ index: Int, tokens: Int, _ observer: (any PassObserver)?
    ) throws(ResidencyError) {
        let (s, compute) = (scratch, model.compute)
        compute.rmsNorm(
            s.hidden, tokens: tokens, weight: layer.mlpNorm, eps: model.config.rmsNormEps,
            into: s.normed)
        observer?.finished(.mlpNorm, layer: index)
        try layer.gateUp.forEachPart {
            compute.multiply(layer.gateUp.matrices, s.normed, tokens: tokens, into: s.gateUp)
        }
        observer?.finished(.gateUp, layer: index)
        compute.gated(
            layer.activation, s.gateUp, stride: layer.gateUp.matrices.outputStride,
            upOffset: layer.gateUp.matrices.rowOffsets[1], tokens: tokens, into: s.activated)
        observer?.finished(.activation, layer: index)
        try add(layer.down, s.activated, norm: layer.mlpOutputNorm, tokens: tokens) {
            observer?.finished(.down, layer: index)
        }
    }

    /// Adds a product to the residual stream, through a norm where there is one.
    ///
    /// - Parameter finished: Called when the product is there.
    private func add(
        _ group: WeightGroup, _ values: Activations, norm: Buffer<Float>?, tokens: Int,
        finished: () -> Void
    ) throws(ResidencyError) {
        let (s, compute) = (scratch, model.compute)
        guard let norm else {
            try group.forEachPart {
                compute.multiplyAdding(group.matrices, values, tokens: tokens, into: s.hidden)
            }
            return finished()
        }
        // Rows lie as in the residual stream: the group's only matrix has its width.
        let width = model.config.hiddenSize
        try group.forEachPart {
            compute.multiply(group.matrices, values, tokens: tokens, into: s.update, stride: width)
        }
        finished()
        compute.normalize(
            s.update, stride: width, tokens: tokens, weight: norm, eps: model.config.rmsNormEps,
            addingTo: s.hidden)
    }

    private func head(_ rows: Range<Int>) throws(ResidencyError) {
        let (s, compute, observer) = (scratch, model.compute, observer)
        compute.rmsNorm(
            s.hidden, rows: s.logitRows, tokens: rows.count, weight: model.finalNorm,
            eps: model.config.rmsNormEps, into: s.headInput)
        observer?.finished(.finalNorm, layer: 0)
        try model.head.forEachPart {
            compute.multiply(
                model.head.matrices, s.headInput, tokens: rows.count, into: logits,
                firstRow: rows.lowerBound)
        }
        observer?.finished(.head, layer: 0)
    }

    /// Copies the embeddings of the batch's tokens into the residual stream. Where not all weights stay,
    /// the pages that hold them are given back after a few tokens.
    private func embed(_ tokens: Int) {
        let step = model.embeddingStore.isStreaming ? Model.rowsHeld : tokens
        for first in stride(from: 0, to: tokens, by: step) {
            model.compute.embed(
                model.embedding, tokens: scratch.ids, first: first,
                count: min(step, tokens - first), scale: model.config.embeddingScale,
                into: scratch.hidden)
            model.embeddingStore.forgetRows(of: model.embeddingName)
        }
    }

    /// Adds one layer's attention to the residual stream. Each part attends over the cache of its sequence.
    ///
    /// - Parameter tokens: Rows of `scratch.hidden`.
    private func attention(
        _ layer: DecoderLayer, _ index: Int, tokens: Int, _ observer: (any PassObserver)?
    ) throws(ResidencyError) {
        let (s, compute) = (scratch, model.compute)
        compute.rmsNorm(
            s.hidden, tokens: tokens, weight: layer.attentionNorm, eps: model.config.rmsNormEps,
            into: s.normed)
        observer?.finished(.attentionNorm, layer: index)
        let queries = try project(layer, index, tokens: tokens, observer)
        for part in parts.indices {
            let part = parts[part]
            compute.attend(
                s.qkv, queries: queries, first: part.first, tokens: part.count,
                visible: s.visible[layer.view], scale: layer.spec.attentionScale,
                layer: part.sequence.cache.layers[index], into: s.attended)
        }
        observer?.finished(.attend, layer: index)
        try add(layer.output, s.attended, norm: layer.attentionOutputNorm, tokens: tokens) {
            observer?.finished(.attentionOutput, layer: index)
        }
    }

    /// Makes queries, keys and values of `scratch.normed`, and puts keys and values into the caches of the parts.
    ///
    /// - Returns: Where the queries are in `scratch.qkv`.
    @discardableResult func project(
        _ layer: DecoderLayer, _ index: Int, tokens: Int, _ observer: (any PassObserver)?
    ) throws(ResidencyError) -> HeadLayout {
        let (s, compute, config) = (scratch, model.compute, model.config)
        let group = layer.queryKeyValue.matrices
        try layer.queryKeyValue.forEachPart {
            compute.multiply(group, s.normed, tokens: tokens, into: s.qkv)
        }
        for part in layer.biases.indices {
            compute.addBias(
                layer.biases[part], to: s.qkv, offset: group.rowOffsets[part],
                stride: group.outputStride, tokens: tokens)
        }
        observer?.finished(.queryKeyValue, layer: index)
        if layer.spec.queryKeyNorm == .wholeProjection {
            normalize(group, part: 0, layer.queryNorm, tokens: tokens)
            normalize(group, part: 1, layer.keyNorm, tokens: tokens)
        }
        let heads = HeadLayouts(
            queries: layout(group, 0, config.headCount),
            keys: layout(group, 1, config.kvHeadCount),
            values: layout(group, 2, config.kvHeadCount))
        for part in parts.indices { store(parts[part], heads, layer, index) }
        observer?.finished(.storeKeyValue, layer: index)
        return heads.queries
    }

    /// Norm of a whole projection.
    private func normalize(_ group: MatrixGroup, part: Int, _ norm: Buffer<Float>?, tokens: Int) {
        guard let norm else { return }
        model.compute.normalize(
            scratch.qkv, offset: group.rowOffsets[part], stride: group.outputStride,
            tokens: tokens, weight: norm, eps: model.config.rmsNormEps)
    }

    private func layout(_ group: MatrixGroup, _ part: Int, _ count: Int) -> HeadLayout {
        HeadLayout(
            offset: group.rowOffsets[part], stride: group.outputStride, heads: count,
            headDim: model.config.headDim)
    }

    /// Rotates a part's queries and keys, and puts its keys and values into the cache of its sequence.
    private func store(_ part: Part, _ heads: HeadLayouts, _ layer: DecoderLayer, _ index: Int) {
        let sequence = part.sequence
        let (cache, eps) = (sequence.cache, model.config.rmsNormEps)
        // The model's context, not the text's own: texts of one model may take over each other's keys.
        let table = model.config.rotary(of: layer.spec, context: model.contextLength)
        cache.placement.keep(
            scratch.qkv, keys: heads.keys, values: heads.values, first: part.first,
            positions: sequence.position..<sequence.position + part.committed.count, layer: index)
        placeSinks(of: sequence, layer, index, table: table)
        model.compute.rotateAndStore(
            scratch.qkv, heads, first: part.first, tokens: part.count,
            by: (
                queries: rotary.queryRotation(
                    table: table, norm: layer.headNorms.query, eps: eps),
                keys: rotary.keyRotation(table: table, norm: layer.headNorms.key, eps: eps)
            ), slots: scratch.slots[layer.view], into: cache.layers[index])
    }

    /// Stores the sinks of one layer at the places that this pass needs and that are new.
    private func placeSinks(
        of sequence: TokenSequence, _ layer: DecoderLayer, _ index: Int, table: Int
    ) {
        let placement = sequence.cache.placement
        guard placement.load(layer: index) else { return }
        let (tokens, heads) = (placement.pending * placement.sinks, model.config.kvHeadCount)
        let keys = placement.keyLayout(kvHeads: heads)
        model.compute.rotate(
            placement.rows, keys, tokens: tokens,
            by: sequence.sinkRotary.keyRotation(
                table: table, norm: layer.headNorms.key, eps: model.config.rmsNormEps))
        model.compute.store(
            placement.rows, keys: keys, values: placement.valueLayout(kvHeads: heads),
            tokens: tokens, slots: placement.pendingSlots, into: sequence.cache.layers[index])
    }
}

extension Model {
    /// Rows of the embedding that are in memory at a time where not all weights stay.
    static let rowsHeld = 16
}
