internal import TesseraCKernels

extension Compute {
    /// Looks up rows of an embedding, times `scale`.
    ///
    /// - Parameters:
    ///   - matrix: `[vocabulary, columns]`.
    ///   - tokens: Ids, each a row of `matrix`.
    ///   - x: `[count, columns]`, overwritten.
    ///   - first: Index of the first token, here and in `x`.
    public func embed(
        _ matrix: Matrix, tokens: Buffer<Int32>, first: Int = 0, count: Int, scale: Float = 1,
        into x: Buffer<Float>
    ) {
        let end = first + count
        precondition(
            first >= 0 && end <= tokens.count && end * matrix.columns <= x.count,
            "tokens \(first)..<\(end)")
        for index in first..<end {
            let id = Int(tokens[index])
            precondition(id >= 0 && id < matrix.rows, "token \(id) of \(matrix.rows)")
        }
        checkDecoders(matrix.codedTileBytes)
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: matrix.raw) {
                unsafe tsr_embed(
                    compute, $0, tokens.pointer + first, count, scale,
                    x.pointer + first * matrix.columns)
            }
        }
    }

    /// RMSNorm of rows of `x`, times `weight`, in both forms.
    ///
    /// - Parameters:
    ///   - x: `[_, columns]`.
    ///   - rows: Which rows of `x`, in this order; nil: the first `tokens`.
    ///   - weight: `[columns]`; nil: the values are taken as they are.
    ///   - a: `[tokens, columns]`, overwritten.
    public func rmsNorm(
        _ x: Buffer<Float>, rows: Buffer<Int32>? = nil, tokens: Int, weight: Buffer<Float>?,
        eps: Float, into a: Activations
    ) {
        a.check(tokens: tokens)
        let columns = a.columns
        precondition((weight?.count ?? columns) == columns, "weights for \(columns) columns")
        if let rows {
            for index in 0..<tokens {
                let row = Int(rows[index])
                precondition(row >= 0 && (row + 1) * columns <= x.count, "row \(row)")
            }
        } else {
            precondition(tokens * columns <= x.count, "\(tokens) rows of \(columns)")
        }
        a.listed = 0
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: a.raw) { out in
                unsafe tsr_rms_norm(
                    compute, x.pointer, rows?.pointer, tokens, columns, weight?.pointer, eps,
                    out)
            }
        }
    }

    /// RMSNorm of columns `offset..<offset + weight.count` of each row of `y`, in place.
    ///
    /// - Parameters:
    ///   - y: `[tokens, stride]`.
    ///   - sum: `[tokens, weight.count]`: the result is added to it.
    public func normalize(
        _ y: Buffer<Float>, offset: Int = 0, stride: Int, tokens: Int, weight: Buffer<Float>,
        eps: Float, addingTo sum: Buffer<Float>? = nil
    ) {
        precondition(
            offset >= 0 && offset + weight.count <= stride && tokens * stride <= y.count,
            "\(tokens) x \(weight.count) at \(offset) of \(stride)")
        precondition(sum.map { tokens * weight.count <= $0.count } ?? true, "sum")
        unsafe withRaw { compute in
            unsafe tsr_normalize_rows(
                compute, y.pointer + offset, stride, weight.count, tokens, weight.pointer, eps,
                sum?.pointer)
        }
    }

    /// Makes the 8-bit forms of what stands in `a.values`.
    public func quantize(_ a: Activations, tokens: Int) {
        a.check(tokens: tokens)
        a.listed = 0
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: a.raw) { unsafe tsr_quantize(compute, $0, tokens) }
        }
    }

    /// Multiplies each matrix of `group`, or the tiles selected of it, by `a`.
    ///
    /// - Parameters:
    ///   - y: `[firstRow + tokens, stride]`, overwritten at the group's rows.
    ///   - firstRow: Row of `y` that belongs to the first token.
    ///   - stride: By default the group's `outputStride`.
    public func multiply(
        _ group: MatrixGroup, _ a: Activations, tokens: Int, into y: Buffer<Float>,
        firstRow: Int = 0, stride: Int? = nil
    ) {
        let stride = stride ?? group.outputStride
        multiply(
            group, a, tokens: tokens, into: y, at: firstRow * stride, stride: stride,
            adding: false)
    }

    /// Adds the product of the group's only matrix, or of its selected tiles, and `a` to `x`.
    ///
    /// - Parameter x: `[tokens, rows]`.
    public func multiplyAdding(
        _ group: MatrixGroup, _ a: Activations, tokens: Int, into x: Buffer<Float>
    ) {
        precondition(group.matrices.count == 1, "\(group.matrices.count) matrices")
        let rows = group.matrices[0].rows
        multiply(group, a, tokens: tokens, into: x, at: 0, stride: rows, adding: true)
    }

    private func multiply(
        _ group: MatrixGroup, _ a: Activations, tokens: Int, into y: Buffer<Float>, at start: Int,
        stride: Int, adding: Bool
    ) {
        a.check(tokens: tokens)
        precondition(group.columns == a.columns, "\(group.columns) columns by \(a.columns)")
        precondition(a.forms.isSuperset(of: group.forms), "activations lack a form")
        let final = group.matrices.count - 1
        let last = group.rowOffsets[final] + group.matrices[final].rows
        precondition(
            start >= 0 && last <= stride && start + tokens * stride <= y.count,
            "\(tokens) x \(stride) from \(start) of \(y.count)")
        checkDecoders(group.codedTileBytes)
        if !group.forms.isEmpty { listTerms(a, tokens: tokens) }
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: a.raw) { x in
                unsafe tsr_multiply(
                    compute, group.raw.pointer, group.parts.pointer, group.matrices.count, x,
                    tokens, y.pointer + start, stride, adding)
            }
        }
    }

    /// Once for all products of the same values; matrices of floats do not read it.
    private func listTerms(_ a: Activations, tokens: Int) {
        guard a.listed != tokens else { return }
        a.listed = tokens
        if a.forms.contains(.straight) { unsafe listTerms(a.raw, tokens) }
        if a.forms.contains(.turned) { unsafe listTerms(a.rawTurned, tokens) }
    }

    private func listTerms(_ form: tsr_activations, _ tokens: Int) {
        var form = unsafe form
        if unsafe !raw.kernels.pointee.reads_entries { unsafe form.entries = nil }
        unsafe tsr_list_terms(&form, tokens)
    }

    private func checkDecoders(_ bytes: Int) {
        precondition(
            bytes <= decodedTileBytes, "coded tiles of \(bytes) bytes: more than init was told of")
    }

    /// Adds `bias` to columns `offset...` of each row of `y`.
    public func addBias(
        _ bias: Buffer<Float>, to y: Buffer<Float>, offset: Int, stride: Int, tokens: Int
    ) {
        precondition(offset + bias.count <= stride && tokens * stride <= y.count, "bias")
        unsafe tsr_add_bias(y.pointer + offset, bias.pointer, bias.count, stride, tokens)
    }

    /// What is made of the gate of an MLP.
    public enum Activation: UInt32, Sendable {
        case silu = 1
        /// GELU in its approximation by tanh.
        case geluTanh = 2
    }

    /// activation(gate) * up, in both forms.
    ///
    /// - Parameters:
    ///   - y: `[tokens, stride]` with gate at column 0 and up at `upOffset`.
    ///   - a: `[tokens, columns]`, overwritten.
    public func gated(
        _ activation: Activation, _ y: Buffer<Float>, stride: Int, upOffset: Int, tokens: Int,
        into a: Activations
    ) {
        a.check(tokens: tokens)
        precondition(
            upOffset + a.columns <= stride && tokens * stride <= y.count, "\(tokens) x \(stride)")
        a.listed = 0
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: a.raw) { out in
                unsafe tsr_gated(
                    compute, activation.rawValue, y.pointer, y.pointer + upOffset, stride,
                    a.columns, tokens, out)
            }
        }
    }
}
