internal import TesseraWeightFile

/// Differences between a source's way to store a model and the format's. The import undoes all of them.
struct StoredForm {
    /// q, k and v are rows of one matrix, gate and up of another (Phi 3 and 4).
    var isFused = false
    /// Dimensions of each head that are rotated, the first ones; the format spreads them, so that pairs
    /// (i, i + headDim / 2) are those of the source. 0: all.
    var rotated = 0
    /// The rotated rows of q and k are in interleaved order: llama.cpp's llama graph rotates pairs
    /// (2j, 2j + 1) where Hugging Face rotates (j, j + headDim / 2).
    var isInterleaved = false
    /// Added to the weights of norms: 1 where a norm multiplies by 1 + w (Gemma).
    var normOffset: Float = 0
    /// Factor on the final norm (Granite's on logits).
    var finalNormFactor: Float = 1

    /// Where rows of one of our tensors stand in a stored one.
    struct Place {
        /// The format's tensor, or the matrix that it is part of.
        var name: String
        var firstRow = 0
        /// Rows of the stored tensor.
        var rows: Int
    }

    /// - Parameters:
    ///   - name: The source's name of a tensor that stands for itself.
    ///   - fused: The source's names of the two matrices that hold several, for a layer.
    func place(
        of tensor: ModelTensor, in config: ModelConfig, name: String,
        fused: (queryKeyValue: String, gateUp: String)
    ) -> Place {
        let (queries, keys) = (
            config.headCount * config.headDim, config.kvHeadCount * config.headDim
        )
        guard isFused else { return Place(name: name, rows: tensor.rows) }
        let (all, inner) = (queries + 2 * keys, config.intermediateSize)
        switch tensor.role {
        case .query: return Place(name: fused.queryKeyValue, rows: all)
        case .key: return Place(name: fused.queryKeyValue, firstRow: queries, rows: all)
        case .value: return Place(name: fused.queryKeyValue, firstRow: queries + keys, rows: all)
        case .gate: return Place(name: fused.gateUp, rows: 2 * inner)
        case .up: return Place(name: fused.gateUp, firstRow: inner, rows: 2 * inner)
        default: return Place(name: name, rows: tensor.rows)
        }
    }

    /// Whether elements of a tensor's heads are in another order.
    func reorders(_ role: TensorRole, headDim: Int) -> Bool {
        let isPartial = rotated > 0 && rotated < headDim
        switch role {
        case .query, .key, .queryBias, .keyBias: return isPartial || isInterleaved
        case .queryNorm, .keyNorm: return isPartial
        default: return false
        }
    }

    /// The stored index of element `index` of one of these tensors: a row of a matrix, else a column.
    func stored(_ index: Int, headDim: Int) -> Int {
        let (head, within) = index.quotientAndRemainder(dividingBy: headDim)
        let (side, pair) = within.quotientAndRemainder(dividingBy: headDim / 2)
        let half = (rotated > 0 ? rotated : headDim) / 2
        let at =
            if pair >= half {
                2 * half + side * (headDim / 2 - half) + pair - half
            } else if isInterleaved {
                2 * pair + side
            } else {
                side * half + pair
            }
        return head * headDim + at
    }
}
