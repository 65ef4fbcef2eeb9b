internal import TesseraCKernels

/// Where the heads of one projection lie in a buffer `[tokens, stride]`.
public struct HeadLayout: Sendable {
    public var offset: Int
    public var stride: Int
    public var heads: Int
    public var headDim: Int

    public init(offset: Int, stride: Int, heads: Int, headDim: Int) {
        self.offset = offset
        self.stride = stride
        self.heads = heads
        self.headDim = headDim
    }

    func check(_ tokens: Range<Int>, in y: Buffer<Float>) {
        precondition(
            offset >= 0 && offset + heads * headDim <= stride && tokens.lowerBound >= 0
                && tokens.upperBound * stride <= y.count,
            "tokens \(tokens) of \(heads) x \(headDim) at \(offset) of \(stride)")
    }
}

/// Where one pass's projections lie in one buffer.
public struct HeadLayouts: Sendable {
    public var queries: HeadLayout
    public var keys: HeadLayout
    public var values: HeadLayout

    public init(queries: HeadLayout, keys: HeadLayout, values: HeadLayout) {
        self.queries = queries
        self.keys = keys
        self.values = values
    }
}

/// Angles of a pass's positions, and what else is done to a head on the way.
public struct Rotation {
    /// `[tokens, headDim / 2]`.
    public var cosines: Buffer<Float>
    public var sines: Buffer<Float>
    /// `[headDim]`: RMSNorm of each head first (Qwen3).
    public var norm: Buffer<Float>?
    public var eps: Float
    /// `[tokens]`: factors applied last (Ministral 3).
    public var factors: Buffer<Float>?

    public init(
        cosines: Buffer<Float>, sines: Buffer<Float>, norm: Buffer<Float>? = nil, eps: Float = 0,
        factors: Buffer<Float>? = nil
    ) {
        self.cosines = cosines
        self.sines = sines
        self.norm = norm
        self.eps = eps
        self.factors = factors
    }
}

extension Compute {
    /// Rotates each head by its token's angles: pairs (i, i + headDim / 2), as Hugging Face does.
    public func rotate(
        _ y: Buffer<Float>, _ layout: HeadLayout, tokens: Int, by rotation: Rotation
    ) {
        var heads = unsafe raw(rotation, of: y, layout, 0..<tokens)
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: &heads) { heads in
                var placement = unsafe tsr_placement(
                    queries: heads, keys: nil, stored_keys: nil, values: nil, stride: 0,
                    tokens: tokens, slots: nil, kv: nil)
                unsafe tsr_place(compute, &placement)
            }
        }
    }

    /// Writes the keys and values of `tokens` into slots of the cache.
    ///
    /// - Parameters:
    ///   - y: `[tokens, stride]` holding both projections.
    ///   - slots: `[tokens]`, all different.
    public func store(
        _ y: Buffer<Float>, keys: HeadLayout, values: HeadLayout, tokens: Int,
        slots: Buffer<Int32>, into layer: KVLayer
    ) {
        checkStore(y, keys: keys, values: values, 0..<tokens, slots: slots, into: layer)
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: layer.raw) { kv in
                var placement = unsafe tsr_placement(
                    queries: nil, keys: nil, stored_keys: y.pointer + keys.offset,
                    values: y.pointer + values.offset, stride: keys.stride, tokens: tokens,
                    slots: slots.pointer, kv: kv)
                unsafe tsr_place(compute, &placement)
            }
        }
    }

    /// `rotate` for queries and keys, then `store`, in one parallel region.
    ///
    /// - Parameters:
    ///   - y: `[first + tokens, stride]` holding all projections; queries and keys are rotated in place.
    ///   - first: Row of the first token in `y`, the rotations and `slots`.
    ///   - slots: `[first + tokens]`, all different.
    public func rotateAndStore(
        _ y: Buffer<Float>, _ heads: HeadLayouts, first: Int = 0, tokens: Int,
        by rotations: (queries: Rotation, keys: Rotation), slots: Buffer<Int32>,
        into layer: KVLayer
    ) {
        let range = first..<first + tokens
        checkStore(y, keys: heads.keys, values: heads.values, range, slots: slots, into: layer)
        var queries = unsafe raw(rotations.queries, of: y, heads.queries, range)
        var keys = unsafe raw(rotations.keys, of: y, heads.keys, range)
        let row = first * heads.keys.stride
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: layer.raw) { kv in
                unsafe withUnsafePointer(to: &queries) { queries in
                    unsafe withUnsafePointer(to: &keys) { keys in
                        var placement = unsafe tsr_placement(
                            queries: queries, keys: keys,
                            stored_keys: y.pointer + row + heads.keys.offset,
                            values: y.pointer + row + heads.values.offset,
                            stride: heads.keys.stride, tokens: tokens,
                            slots: slots.pointer + first, kv: kv)
                        unsafe tsr_place(compute, &placement)
                    }
                }
            }
        }
    }

    private func raw(
        _ rotation: Rotation, of y: Buffer<Float>, _ layout: HeadLayout, _ tokens: Range<Int>
    ) -> tsr_rotation {
        layout.check(tokens, in: y)
        let (half, first) = (layout.headDim / 2, tokens.lowerBound)
        let angles = tokens.upperBound * half
        precondition(rotation.cosines.count >= angles && rotation.sines.count >= angles, "angles")
        precondition(rotation.norm.map { $0.count == layout.headDim } ?? true, "norm")
        precondition(rotation.factors.map { $0.count >= tokens.upperBound } ?? true, "factors")
        return unsafe tsr_rotation(
            x: y.pointer + first * layout.stride + layout.offset, stride: layout.stride,
            heads: layout.heads, head_dim: layout.headDim, tokens: tokens.count,
            cosines: rotation.cosines.pointer + first * half,
            sines: rotation.sines.pointer + first * half, norm: rotation.norm?.pointer,
            factors: rotation.factors.map { unsafe UnsafePointer($0.pointer + first) },
            eps: rotation.eps)
    }

    private func checkStore(
        _ y: Buffer<Float>, keys: HeadLayout, values: HeadLayout, _ tokens: Range<Int>,
        slots: Buffer<Int32>, into layer: KVLayer
    ) {
        keys.check(tokens, in: y)
        values.check(tokens, in: y)
        precondition(keys.heads == layer.kvHeads && keys.headDim == layer.headDim, "heads")
        precondition(keys.stride == values.stride, "strides")
        for index in tokens {
            precondition(slots[index] >= 0 && Int(slots[index]) < layer.slots, "slot")
        }
    }

    /// Attention of each query head over the slots its token sees.
    ///
    /// - Parameters:
    ///   - y: `[first + tokens, stride]` holding the rotated queries.
    ///   - first: Row of the first token in `y`, `visible` and `a`; the rows before it stay.
    ///   - visible: `[first + tokens, 4, 2]`: begin and end of up to four disjoint slot ranges.
    ///   - a: `[first + tokens, heads * headDim]`, overwritten in both forms.
    public func attend(
        _ y: Buffer<Float>, queries: HeadLayout, first: Int = 0, tokens: Int,
        visible: Buffer<Int32>, scale: Float, layer: KVLayer, into a: Activations
    ) {
        queries.check(first..<first + tokens, in: y)
        a.check(tokens: first + tokens)
        precondition(visible.count >= (first + tokens) * 8, "\(visible.count) range bounds")
        for index in first * 8..<(first + tokens) * 8 {
            precondition(
                visible[index] >= 0 && Int(visible[index]) <= layer.slots, "slot \(visible[index])")
        }
        precondition(queries.heads % layer.kvHeads == 0, "\(queries.heads) heads")
        precondition(a.columns == queries.heads * queries.headDim, "\(a.columns) columns")
        checkScratch(groupHeads: queries.heads / layer.kvHeads, headDim: layer.headDim)
        a.listed = 0
        unsafe withRaw { compute in
            unsafe withUnsafePointer(to: layer.raw) { kv in
                unsafe withUnsafePointer(to: a.raw) { out in
                    var raw = unsafe tsr_attention(
                        queries: y.pointer + first * queries.stride + queries.offset,
                        stride: queries.stride, heads: queries.heads, tokens: tokens,
                        visible: visible.pointer + 8 * first, scale: scale, kv: kv, out: out,
                        first_out: first)
                    unsafe tsr_attend(compute, &raw)
                }
            }
        }
    }

    /// What a sampler asks of one row of logits.
    public struct RowSummary: Sendable, Equatable {
        public var max: Float
        /// Lowest index of the largest value.
        public var argmax: Int
        public var logSumExp: Float
        /// Entropy of softmax(row), in nats.
        public var entropy: Float
        /// Largest value but one.
        public var second: Float
        /// Values that are infinite or no number, -infinity among them. With NaN or +infinity in the row the
        /// other members say nothing.
        public var notFinite: Int
    }

    /// Summary of `row[range]`; entries of -infinity count as absent.
    public func summarize(_ row: Buffer<Float>, _ range: Range<Int>) -> RowSummary {
        precondition(range.lowerBound >= 0 && range.upperBound <= row.count, "\(range)")
        var raw = tsr_row_summary()
        unsafe withRaw { compute in
            unsafe compute.pointee.kernels.pointee.summarize(
                row.pointer + range.lowerBound, range.count, &raw)
        }
        return RowSummary(
            max: raw.max, argmax: Int(raw.argmax), logSumExp: raw.log_sum_exp,
            entropy: raw.entropy, second: raw.second, notFinite: Int(raw.not_finite))
    }

    /// The sum of `weights[index] * values[begin + index]` over all weights of `range`, `begin` being the first of `values`.
    public func expectation(
        of values: Buffer<Float>, from begin: Int, _ weights: Buffer<Float>, _ range: Range<Int>
    ) -> Double {
        precondition(
            range.lowerBound >= 0 && range.upperBound <= weights.count && begin >= 0
                && begin + range.count <= values.count, "\(range), \(begin)")
        // Safe: both lie within their buffers.
        return unsafe tsr_expectation(
            weights.pointer + range.lowerBound, values.pointer + begin, range.count)
    }
}
