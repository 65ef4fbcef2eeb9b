internal import CKernels

/// Activations `[tokens, columns]` in two forms: floats, and 8-bit codes with one scale per token and
/// group of 32 columns. Matrices of floats multiply the first, integer matrices the second.
@safe public final class Activations: @unchecked Sendable {
    public let tokenCapacity: Int
    public let columns: Int
    /// `[tokens, paddedColumns]`; padding is zero.
    public let values: Buffer<Float>
    public let paddedColumns: Int
    let codes: Buffer<Int8>
    let scales: Buffer<Float>
    let sums: Buffer<Float>
    let offsets: Buffer<UInt32>

    public init(tokenCapacity: Int, columns: Int) {
        precondition(tokenCapacity > 0 && columns > 0, "\(tokenCapacity) x \(columns)")
        self.tokenCapacity = tokenCapacity
        self.columns = columns
        let groups = (columns + 31) / 32
        paddedColumns = groups * 32
        values = Buffer(count: tokenCapacity * paddedColumns)
        codes = Buffer(count: tokenCapacity * paddedColumns)
        scales = Buffer(count: tokenCapacity * groups)
        sums = Buffer(count: tokenCapacity * groups)
        offsets = Buffer(count: tokenCapacity * groups)
    }

    /// Bytes held.
    public var byteCount: Int { values.count * 5 + scales.count * 12 }

    var raw: tsr_activations {
        unsafe tsr_activations(
            values: values.pointer, codes: codes.pointer, scales: scales.pointer,
            sums: sums.pointer, offsets: offsets.pointer, columns: paddedColumns,
            groups: paddedColumns / 32)
    }

    func check(tokens: Int) {
        precondition(
            tokens >= 0 && tokens <= tokenCapacity, "\(tokens) tokens of at most \(tokenCapacity)")
    }
}
