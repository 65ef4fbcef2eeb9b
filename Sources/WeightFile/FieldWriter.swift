/// Builds a section of little-endian fields in file order; the mirror of `FieldReader`.
struct FieldWriter {
    private(set) var bytes: [UInt8] = []

    mutating func u32(_ value: UInt32) {
        integer(value)
    }

    mutating func u64(_ value: UInt64) {
        integer(value)
    }

    mutating func f32(_ value: Float) {
        integer(value.bitPattern)
    }

    mutating func f64(_ value: Double) {
        integer(value.bitPattern)
    }

    /// A count or size; values that do not fit become `UInt32.max`, which every reader rejects.
    mutating func int32(_ value: Int) {
        integer(UInt32(exactly: value) ?? .max)
    }

    /// A count or size; a negative one becomes `UInt64.max`, which every reader rejects.
    mutating func int64(_ value: Int) {
        integer(UInt64(exactly: value) ?? .max)
    }

    mutating func append(_ values: some Sequence<UInt8>) {
        bytes.append(contentsOf: values)
    }

    mutating func zeros(_ count: Int) {
        bytes.append(contentsOf: repeatElement(0, count: count))
    }

    /// Fills with zeros up to a multiple of `alignment`.
    mutating func align(to alignment: Int) {
        zeros((alignment - bytes.count % alignment) % alignment)
    }

    private mutating func integer<Value: FixedWidthInteger>(_ value: Value) {
        var rest = value
        for _ in 0..<Value.bitWidth / 8 {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest >>= 8
        }
    }
}
