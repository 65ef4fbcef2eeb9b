#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// A fixed number of plain values in memory aligned to 64 bytes, zero at first.
///
/// The one owner of raw memory outside the mapped file: activations, logits and the KV cache are
/// built on it. Large ones take memory page by page as it is first written, so that a long context
/// costs nothing before it is used. Not synchronized: one pass at a time writes.
@safe public final class Buffer<Element: BitwiseCopyable>: @unchecked Sendable {
    public let count: Int
    /// First element; valid while this object lives. For kernels only.
    package let pointer: UnsafeMutablePointer<Element>
    private let allocation: UnsafeMutableRawPointer

    public init(count: Int) {
        precondition(count >= 0, "negative count \(count)")
        let bytes = max(1, count) * MemoryLayout<Element>.stride
        let padded = (bytes + 127) / 64 * 64  // kernels may read one vector past the end
        // calloc leaves large allocations to the kernel's zero pages; memset would touch them all.
        guard let raw = unsafe calloc(1, padded + 64) else {
            fatalError("out of memory: a buffer of \(padded) bytes")
        }
        unsafe allocation = raw
        unsafe pointer = raw.alignedUp(toMultipleOf: 64)
            .bindMemory(to: Element.self, capacity: max(1, count))
        self.count = count
    }

    deinit { unsafe free(allocation) }

    public subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count, "\(index) outside 0..<\(count)")
            return unsafe pointer[index]
        }
        set {
            precondition(index >= 0 && index < count, "\(index) outside 0..<\(count)")
            unsafe pointer[index] = newValue
        }
    }

    /// Copies elements of another buffer.
    public func copy(_ other: Buffer, from: Int, to: Int, count: Int) {
        precondition(
            count >= 0 && from >= 0 && from + count <= other.count && to >= 0
                && to + count <= self.count, "\(count) elements from \(from) to \(to)")
        unsafe (pointer + to).update(from: other.pointer + from, count: count)
    }

    /// Calls `body` with the elements in `range`.
    public func withSpan<R>(
        _ range: Range<Int>, _ body: (Span<Element>) throws -> R
    ) rethrows -> R {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) of \(count)")
        let slice = unsafe UnsafeBufferPointer(
            start: pointer + range.lowerBound, count: range.count)
        return try body(unsafe Span(_unsafeElements: slice))
    }

    /// Calls `body` with the bytes of the elements in `range`.
    public func withRawSpan<Failure: Error>(
        _ range: Range<Int>, _ body: (RawSpan) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) of \(count)")
        let bytes = unsafe UnsafeRawBufferPointer(
            UnsafeBufferPointer(start: pointer + range.lowerBound, count: range.count))
        try body(unsafe RawSpan(_unsafeBytes: bytes))
    }

    /// Copies bytes over the elements from `index` on.
    public func read(_ bytes: RawSpan, to index: Int) {
        let stride = MemoryLayout<Element>.stride
        precondition(
            index >= 0 && bytes.byteCount % stride == 0
                && index + bytes.byteCount / stride <= count,
            "\(bytes.byteCount) bytes to \(index)")
        unsafe bytes.withUnsafeBytes { source in
            guard let first = source.baseAddress else { return }
            unsafe UnsafeMutableRawPointer(pointer + index).copyMemory(
                from: first, byteCount: source.count)
        }
    }

    /// Calls `body` with the elements in `range`, for writing.
    public func withMutableSpan<R>(
        _ range: Range<Int>, _ body: (inout MutableSpan<Element>) throws -> R
    ) rethrows -> R {
        precondition(range.lowerBound >= 0 && range.upperBound <= count, "\(range) of \(count)")
        let slice = unsafe UnsafeMutableBufferPointer(
            start: pointer + range.lowerBound, count: range.count)
        var span = unsafe MutableSpan(_unsafeElements: slice)
        return try body(&span)
    }
}
