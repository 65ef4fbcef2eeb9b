internal import TesseraCKernels

extension Matrix {
    /// Which activations a matrix multiplies: rows of turned matrices are stored times a Hadamard matrix.
    ///
    /// That matrix is orthonormal and symmetric, with blocks of the largest power of two that divides the columns. Products
    /// of rows and activations which are both turned are what they were, but large values of a few columns are
    /// spread over all: what a row holds is close to a normal distribution.
    public struct Forms: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }

        public static let straight = Forms(rawValue: 1)
        public static let turned = Forms(rawValue: 2)
    }
}

extension Matrix.Storage {
    /// The form of matrices of integers that are stored so.
    public var form: Matrix.Forms { tsr_is_turned(rawValue) ? .turned : .straight }
}

/// Turns each row of a matrix in place. Turning it again turns it back.
///
/// - Parameter rows: `[_, columns]`, row-major.
/// - Precondition: Whole rows.
public func turnRows(_ rows: inout [Float], columns: Int) {
    precondition(columns > 0 && rows.count % columns == 0, "\(rows.count) of \(columns)")
    unsafe rows.withUnsafeMutableBufferPointer { values in
        for first in stride(from: 0, to: values.count, by: columns) {
            // Safe: whole rows.
            unsafe tsr_kernels_scalar().pointee.hadamard(values.baseAddress! + first, columns)
        }
    }
}
