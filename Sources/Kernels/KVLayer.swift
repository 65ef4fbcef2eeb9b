internal import CKernels

/// Keys and values of one layer: `[kvHeads, slots, headDim]`, allocated once.
@safe public final class KVLayer: @unchecked Sendable {
    public enum Encoding: String, Sendable, CaseIterable {
        /// One scale per head and slot.
        case int8
        case f16
        case f32

        var raw: UInt32 {
            switch self {
            case .int8: 1
            case .f16: 2
            case .f32: 3
            }
        }

        var bytes: Int {
            switch self {
            case .int8: 1
            case .f16: 2
            case .f32: 4
            }
        }
    }

    public let kvHeads: Int
    public let headDim: Int
    public let slots: Int
    public let encoding: Encoding
    private let keys: Buffer<UInt8>
    private let values: Buffer<UInt8>
    private let keyScales: Buffer<Float>
    private let valueScales: Buffer<Float>

    public init(kvHeads: Int, headDim: Int, slots: Int, encoding: Encoding) {
        precondition(kvHeads > 0 && headDim > 0 && slots > 0, "\(kvHeads) x \(headDim) x \(slots)")
        self.kvHeads = kvHeads
        self.headDim = headDim
        self.slots = slots
        self.encoding = encoding
        let bytes = kvHeads * slots * headDim * encoding.bytes
        let scales = encoding == .int8 ? kvHeads * slots : 0
        keys = Buffer(count: bytes)
        values = Buffer(count: bytes)
        keyScales = Buffer(count: scales)
        valueScales = Buffer(count: scales)
    }

    /// Bytes held.
    public var byteCount: Int {
        slots * Self.slotBytes(kvHeads: kvHeads, headDim: headDim, encoding: encoding)
    }

    /// Bytes that one slot takes.
    public static func slotBytes(kvHeads: Int, headDim: Int, encoding: Encoding) -> Int {
        2 * kvHeads * (headDim * encoding.bytes + (encoding == .int8 ? 4 : 0))
    }

    var raw: tsr_kv {
        unsafe tsr_kv(
            keys: UnsafeMutableRawPointer(keys.pointer),
            values: UnsafeMutableRawPointer(values.pointer), key_scales: keyScales.pointer,
            value_scales: valueScales.pointer, kv_heads: kvHeads, slots: slots, head_dim: headDim,
            encoding: encoding.raw)
    }
}
