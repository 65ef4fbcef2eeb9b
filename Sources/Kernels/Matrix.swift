internal import CKernels

/// A weight matrix `[rows, columns]` as it lies in a mapped file. Byte layouts: Formats/TSR.md §7.
///
/// Does not own the bytes: whoever makes one keeps the mapping alive for as long as it is used.
@safe public struct Matrix: @unchecked Sendable {
    /// How the values are coded; raw values are those of the file format.
    public enum Encoding: UInt32, Sendable {
        case f32 = 1
        case f16 = 2
        case int8 = 3
        case int4 = 4
        case int4Affine = 5
    }

    public let rows: Int
    public let columns: Int
    public let encoding: Encoding
    let raw: tsr_matrix

    /// - Parameter bytes: All panels of the matrix; must outlive every use of it.
    /// - Precondition: `bytes` has the size that the shape and the encoding ask for.
    @unsafe public init(
        rows: Int, columns: Int, encoding: Encoding, bytes: UnsafeRawBufferPointer
    ) {
        let panelBytes = Self.panelBytes(encoding, columns: columns)
        let panels = encoding == .f32 || encoding == .f16 ? rows : (rows + 15) / 16
        precondition(
            rows > 0 && columns > 0 && bytes.count == panels * panelBytes,
            "\(bytes.count) bytes for \(rows) x \(columns) \(encoding)")
        self.rows = rows
        self.columns = columns
        self.encoding = encoding
        unsafe raw = tsr_matrix(
            base: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), rows: rows,
            columns: columns, panel_bytes: panelBytes, encoding: encoding.rawValue)
    }

    /// Bytes of one 16-row panel, or of one row of a float matrix.
    public static func panelBytes(_ encoding: Encoding, columns: Int) -> Int {
        let groups = (columns + 31) / 32
        let plane = (groups * 32 + 63) / 64 * 64
        switch encoding {
        case .f32: return columns * 4
        case .f16: return columns * 2
        case .int8: return plane + groups * 512
        case .int4: return plane + groups * 256
        case .int4Affine: return 2 * plane + groups * 256
        }
    }

    /// Bytes that multiplying by this matrix reads.
    public var byteCount: Int {
        let panels = encoding == .f32 || encoding == .f16 ? rows : (rows + 15) / 16
        return panels * Self.panelBytes(encoding, columns: columns)
    }
}

/// Matrices that multiply the same activations, in one parallel region.
@safe public final class MatrixGroup: @unchecked Sendable {
    /// Column of the output where each matrix's rows begin; multiples of 16.
    public let rowOffsets: [Int]
    /// Floats from one token's output to the next.
    public let outputStride: Int
    public let columns: Int
    public let matrices: [Matrix]
    let raw: Buffer<tsr_matrix>
    let offsets: Buffer<Int>

    /// - Precondition: All matrices have the same number of columns.
    public init(_ matrices: [Matrix]) {
        precondition(!matrices.isEmpty, "an empty group")
        columns = matrices[0].columns
        unsafe raw = Buffer(count: matrices.count)
        offsets = Buffer(count: matrices.count)
        self.matrices = matrices
        var stride = 0
        var starts: [Int] = []
        for (index, matrix) in matrices.enumerated() {
            precondition(matrix.columns == columns, "\(matrix.columns) columns beside \(columns)")
            unsafe raw[index] = matrix.raw
            offsets[index] = stride
            starts.append(stride)
            stride += (matrix.rows + 15) / 16 * 16
        }
        rowOffsets = starts
        outputStride = stride
    }
}
