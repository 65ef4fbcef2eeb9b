#if _endian(big)
    #error("weight files are little-endian and are read in place")
#endif

/// Reads the fields of one section in file order. One bounds check per read; a read past the end
/// throws the section's size rule. This file holds the only loads from file bytes.
struct FieldReader: ~Escapable {
    private let bytes: RawSpan
    /// Offset of the section in the file.
    private let base: Int
    /// Broken when the section is too short or too long.
    private let sizeRule: ValidationRule
    private var position = 0

    @_lifetime(copy bytes)
    init(_ bytes: RawSpan, base: Int, sizeRule: ValidationRule) {
        self.bytes = bytes
        self.base = base
        self.sizeRule = sizeRule
    }

    /// Offset in the file of the next field.
    var offset: Int { base + position }

    /// Passes over `count` bytes and returns where they began in the section.
    private mutating func take(_ count: Int) throws(Violation) -> Int {
        guard count >= 0, count <= bytes.byteCount - position else {
            throw Violation(
                sizeRule, at: base, found: "\(bytes.byteCount) bytes", expected: "more")
        }
        defer { position += count }
        return position
    }

    mutating func u32() throws(Violation) -> UInt32 {
        bytes.u32(at: try take(4))
    }

    mutating func u64() throws(Violation) -> UInt64 {
        bytes.u64(at: try take(8))
    }

    mutating func f32() throws(Violation) -> Float {
        Float(bitPattern: try u32())
    }

    /// A 32-bit count or size.
    mutating func int32() throws(Violation) -> Int {
        Int(try u32())
    }

    /// A 64-bit count or size, at most `Int.max`.
    mutating func int64(_ rule: ValidationRule) throws(Violation) -> Int {
        let start = offset
        let value = try u64()
        guard let int = Int(exactly: value) else {
            throw Violation(rule, at: start, found: value, expected: "at most \(Int.max)")
        }
        return int
    }

    /// `count` little-endian values in one copy. The allocation is never larger than the section.
    mutating func array<Element: BitwiseCopyable>(
        of type: Element.Type, count: Int
    ) throws(Violation) -> [Element] {
        let (size, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
        let start = try take(overflow ? -1 : size)
        return bytes.array(of: type, at: start, count: count)
    }

    /// `count` bytes that must be UTF-8.
    mutating func text(byteCount count: Int, _ rule: ValidationRule) throws(Violation) -> String {
        let start = offset
        let bytes = try array(of: UInt8.self, count: count)
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Violation(rule, at: start, found: "\(count) bytes", expected: "UTF-8")
        }
        return text
    }

    /// Passes over spare bytes that a reader ignores.
    mutating func skip(_ count: Int) throws(Violation) {
        _ = try take(count)
    }

    /// Demands that spare bytes are zero.
    mutating func zeros(_ count: Int, _ rule: ValidationRule) throws(Violation) {
        let start = try take(count)
        if let index = bytes.firstNonZero(in: start..<start + count) {
            throw Violation(rule, at: base + index, found: bytes.u8(at: index), expected: 0)
        }
    }

    /// Demands that the section ends here.
    func finish() throws(Violation) {
        guard position == bytes.byteCount else {
            throw Violation(
                sizeRule, at: base, found: "\(bytes.byteCount) bytes", expected: position)
        }
    }
}

// Loads. Each is bounds-checked by RawSpan; every bit pattern of the integer types is a value.
extension RawSpan {
    @inline(__always)
    func u8(at offset: Int) -> UInt8 {
        unsafe unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    @inline(__always)
    func u16(at offset: Int) -> UInt16 {
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)
    }

    @inline(__always)
    func u32(at offset: Int) -> UInt32 {
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
    }

    @inline(__always)
    func u64(at offset: Int) -> UInt64 {
        unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
    }

    /// Four words, for one bounds check.
    @inline(__always)
    func stripe(at offset: Int) -> (UInt64, UInt64, UInt64, UInt64) {
        precondition(offset >= 0 && byteCount - offset >= 32, "stripe at \(offset) of \(byteCount)")
        // Safe: the 32 bytes from `offset` were checked just above.
        return unsafe (
            unsafeLoadUnaligned(fromUncheckedByteOffset: offset, as: UInt64.self),
            unsafeLoadUnaligned(fromUncheckedByteOffset: offset + 8, as: UInt64.self),
            unsafeLoadUnaligned(fromUncheckedByteOffset: offset + 16, as: UInt64.self),
            unsafeLoadUnaligned(fromUncheckedByteOffset: offset + 24, as: UInt64.self)
        )
    }

    /// `count` values in one copy.
    /// - Precondition: they lie inside; every bit pattern of `Element` is a value.
    func array<Element: BitwiseCopyable>(
        of type: Element.Type, at offset: Int, count: Int
    ) -> [Element] {
        let size = count * MemoryLayout<Element>.stride
        let part = extracting(offset..<offset + size)
        return unsafe [Element](unsafeUninitializedCapacity: count) { target, initialized in
            // Safe: `target` has room for `count` elements, `part` holds exactly their bytes.
            unsafe part.withUnsafeBytes { source in
                unsafe UnsafeMutableRawBufferPointer(target).copyMemory(from: source)
            }
            initialized = count
        }
    }

    /// The first byte in `range` that is not zero.
    func firstNonZero(in range: Range<Int>) -> Int? {
        var offset = range.lowerBound
        while range.upperBound - offset >= 8 && u64(at: offset) == 0 { offset += 8 }
        while offset < range.upperBound && u8(at: offset) == 0 { offset += 1 }
        return offset < range.upperBound ? offset : nil
    }
}

extension [UInt8] {
    /// The array's bytes, without a copy.
    var rawSpan: RawSpan {
        @_lifetime(borrow self)
        get {
            // Safe: bytes have no padding.
            let bytes = unsafe span.bytes
            return unsafe _overrideLifetime(bytes, borrowing: self)
        }
    }
}
