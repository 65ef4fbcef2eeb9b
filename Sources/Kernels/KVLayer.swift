internal import TesseraCKernels

/// Keys and values of one layer: `[kvHeads, slots, headDim]`, allocated once.
@safe public final class KVLayer: @unchecked Sendable {
    public enum Encoding: String, Sendable, CaseIterable {
        /// One scale per head and slot.
        case int8
        /// The same with codes of at most 7.
        case int4
        case f16
        case f32

        /// Its number in files.
        public var code: UInt32 { raw }

        var raw: UInt32 {
            switch self {
            case .int8: 1
            case .f16: 2
            case .f32: 3
            case .int4: 4
            }
        }

        /// Whether there are codes and scales.
        var hasCodes: Bool { self == .int8 || self == .int4 }

        var bits: Int {
            switch self {
            case .int8: 8
            case .int4: 4
            case .f16: 16
            case .f32: 32
            }
        }
    }

    public let kvHeads: Int
    public let headDim: Int
    public let slots: Int
    public let encoding: Encoding
    // Laid out by Sources/CKernels/place.c.
    let keys: Buffer<UInt8>
    let values: Buffer<UInt8>
    let keyScales: Buffer<Float>
    let valueScales: Buffer<Float>

    public init(kvHeads: Int, headDim: Int, slots: Int, encoding: Encoding) {
        precondition(kvHeads > 0 && headDim > 0 && slots > 0, "\(kvHeads) x \(headDim) x \(slots)")
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.slots = slots
        self.encoding = encoding
        precondition(headDim <= Int(TSR_MAX_HEAD_DIM), "heads of \(headDim)")
        let padded = Self.paddedSlots(slots, encoding)
        let bytes = kvHeads * padded * Self.rowBytes(headDim, encoding)
        let scales = encoding.hasCodes ? kvHeads * padded : 0
        keys = Buffer(count: bytes)
        values = Buffer(count: bytes)
        keyScales = Buffer(count: scales)
        valueScales = Buffer(count: scales)
    }

    /// Bytes held.
    public var byteCount: Int {
        Self.byteCount(slots: slots, kvHeads: kvHeads, headDim: headDim, encoding: encoding)
    }

    /// Bytes that this many slots take.
    public static func byteCount(
        slots: Int, kvHeads: Int, headDim: Int, encoding: Encoding
    ) -> Int {
        paddedSlots(slots, encoding)
            * slotBytes(kvHeads: kvHeads, headDim: headDim, encoding: encoding)
    }

    /// Bytes that one slot takes.
    public static func slotBytes(kvHeads: Int, headDim: Int, encoding: Encoding) -> Int {
        2 * kvHeads * (rowBytes(headDim, encoding) + (encoding.hasCodes ? 4 : 0))
    }

    /// Codes lie in whole tiles of slots and of columns.
    private static func paddedSlots(_ slots: Int, _ encoding: Encoding) -> Int {
        encoding.hasCodes ? tsr_padded_slots(slots) : slots
    }

    private static func rowBytes(_ headDim: Int, _ encoding: Encoding) -> Int {
        (encoding.hasCodes ? tsr_padded_dim(headDim) : headDim) * encoding.bits / 8
    }

    /// Copies the first `slots` slots of a layer of the same shape, which may have more or fewer.
    public func copy(_ other: KVLayer, slots count: Int) {
        precondition(
            other.kvHeads == kvHeads && other.headDim == headDim && other.encoding == encoding
                && count <= min(slots, other.slots), "\(count) slots of another shape")
        let padded = Self.paddedSlots(count, encoding)
        let row = Self.rowBytes(headDim, encoding)
        for head in 0..<kvHeads {
            let to = head * Self.paddedSlots(slots, encoding)
            let from = head * Self.paddedSlots(other.slots, encoding)
            keys.copy(other.keys, from: from * row, to: to * row, count: padded * row)
            values.copy(other.values, from: from * row, to: to * row, count: padded * row)
            guard encoding.hasCodes else { continue }
            keyScales.copy(other.keyScales, from: from, to: to, count: padded)
            valueScales.copy(other.valueScales, from: from, to: to, count: padded)
        }
    }

    /// Bytes that ``write(slots:_:)`` gives.
    public func savedBytes(slots count: Int) -> Int {
        let padded = Self.paddedSlots(count, encoding)
        return 2 * kvHeads * padded
            * (Self.rowBytes(headDim, encoding) + (encoding.hasCodes ? 4 : 0))
    }

    /// Where floating-point numbers stand in these bytes: everywhere, or the scales of codes. They have 2 bytes
    /// with ``Encoding/f16``, else 4.
    public func savedNumbers(slots count: Int) -> [Range<Int>] {
        guard encoding.hasCodes else { return [0..<savedBytes(slots: count)] }
        let padded = Self.paddedSlots(count, encoding)
        let (codes, scales) = (2 * padded * Self.rowBytes(headDim, encoding), 2 * padded * 4)
        return (0..<kvHeads).map {
            let begin = $0 * (codes + scales) + codes
            return begin..<begin + scales
        }
    }

    /// Calls `body` with the keys and values of the first `count` slots, piece by piece.
    public func write<Failure: Error>(
        slots count: Int, _ body: (RawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(count <= slots, "\(count) of \(slots) slots")
        let (padded, held) = (Self.paddedSlots(count, encoding), Self.paddedSlots(slots, encoding))
        let row = Self.rowBytes(headDim, encoding)
        for head in 0..<kvHeads {
            let codes = head * held * row..<(head * held + padded) * row
            try keys.withRawSpan(codes, body)
            try values.withRawSpan(codes, body)
            guard encoding.hasCodes else { continue }
            let scales = head * held..<head * held + padded
            try keyScales.withRawSpan(scales, body)
            try valueScales.withRawSpan(scales, body)
        }
    }

    /// Takes over the first `count` slots of a layer of the same shape.
    ///
    /// - Parameter written: Slots that were written, at least `count`.
    /// - Precondition: `bytes` are those of ``write(slots:_:)``.
    public func read(slots count: Int, of written: Int, from bytes: RawSpan) {
        precondition(
            count <= slots && count <= written && bytes.byteCount == savedBytes(slots: written),
            "\(count) of \(written) slots")
        let (padded, held) = (Self.paddedSlots(count, encoding), Self.paddedSlots(slots, encoding))
        let stored = Self.paddedSlots(written, encoding)
        let row = Self.rowBytes(headDim, encoding)
        var begin = 0
        func next(_ size: Int) -> Range<Int> {
            defer { begin += stored * size }
            return begin..<begin + padded * size
        }
        for head in 0..<kvHeads {
            keys.read(bytes.extracting(next(row)), to: head * held * row)
            values.read(bytes.extracting(next(row)), to: head * held * row)
            guard encoding.hasCodes else { continue }
            keyScales.read(bytes.extracting(next(4)), to: head * held)
            valueScales.read(bytes.extracting(next(4)), to: head * held)
        }
    }

    var raw: tsr_kv {
        unsafe tsr_kv(
            keys: UnsafeMutableRawPointer(keys.pointer),
            values: UnsafeMutableRawPointer(values.pointer), key_scales: keyScales.pointer,
            value_scales: valueScales.pointer, kv_heads: kvHeads, slots: slots, head_dim: headDim,
            encoding: encoding.raw)
    }
}
