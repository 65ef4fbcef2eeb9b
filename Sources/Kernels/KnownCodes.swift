internal import TesseraCKernels

/// Codes of a matrix, known because a source has them.
public struct KnownCodes: Sendable {
    /// `[rows, columns]`, one byte each, without their offset.
    public var codes: [UInt8]
    /// `[rows, groups]`, of nested encodings `[rows, super-groups]`; a group has 32 columns, a super-group 256.
    public var scales: [Float16]
    /// The same, where the encoding has minimums.
    public var minimums: [Float16]
    /// `[rows, groups, 2]` for nested encodings, as a panel has them.
    public var integers: [UInt8]

    public init(codes: [UInt8], scales: [Float16], minimums: [Float16], integers: [UInt8]) {
        self.codes = codes
        self.scales = scales
        self.minimums = minimums
        self.integers = integers
    }

    /// Whole panels of `rows` rows.
    ///
    /// - Precondition: The counts are those that the encoding asks for.
    public func panels(_ encoding: Matrix.Encoding, rows: Int, columns: Int) -> [UInt8] {
        let form = tsr_form(encoding.rawValue)
        let groups = (columns + 31) / 32
        let numbers = form.factors > 0 ? (groups + 7) / 8 : groups
        let hasMinimums = form.planes > 1 || form.factors > 1
        precondition(
            rows > 0 && codes.count == rows * columns && scales.count == rows * numbers
                && minimums.count == (hasMinimums ? rows * numbers : 0)
                && integers.count == (form.factors > 0 ? rows * groups * 2 : 0),
            "\(codes.count) codes and \(scales.count) scales of \(rows) x \(columns) \(encoding)")
        let panelBytes = Matrix.panelBytes(encoding, columns: columns)
        var bytes = [UInt8](repeating: 0, count: (rows + 15) / 16 * panelBytes)
        for first in stride(from: 0, to: rows, by: 16) {
            // Safe: the arrays hold what was just checked, and each panel is within `bytes`.
            unsafe codes.withUnsafeBufferPointer { codes in
                unsafe scales.withUnsafeBytes { scales in
                    unsafe minimums.withUnsafeBytes { minimums in
                        unsafe integers.withUnsafeBufferPointer { integers in
                            var blocks = unsafe tsr_blocks(
                                codes: codes.baseAddress! + first * columns,
                                scales: scales.bindMemory(to: UInt16.self).baseAddress!
                                    + first * numbers,
                                minimums: minimums.bindMemory(to: UInt16.self).baseAddress
                                    .map { unsafe $0 + first * numbers },
                                integers: integers.baseAddress.map {
                                    unsafe $0 + first * groups * 2
                                }, rows: min(16, rows - first), columns: columns,
                                encoding: encoding.rawValue)
                            unsafe bytes.withUnsafeMutableBufferPointer {
                                unsafe tsr_pack_blocks(
                                    &blocks, $0.baseAddress! + first / 16 * panelBytes)
                            }
                        }
                    }
                }
            }
        }
        return bytes
    }
}
