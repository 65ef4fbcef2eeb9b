internal import TesseraCKernels

/// Products of a matrix's inputs over a text, `x[c] x[i]` of columns in the same block, and what is made of
/// them: how the columns after a rounded one make up for its error.
@safe public final class ColumnFeedback: @unchecked Sendable {
    public let columns: Int
    /// Columns that make up for each other's errors.
    public let block: Int
    /// Whether the matrix's rows are turned: the products are those of turned inputs.
    public let isTurned: Bool
    /// `[padded columns, block]`: products, then feedback.
    let values: Buffer<Float>
    let gains: Buffer<Float>
    private var isFinished = false

    /// Widths of a block; the smaller takes half the memory.
    public static let blocks = (small: 128, large: Int(TSR_FEEDBACK_BLOCK))

    public static func byteCount(columns: Int, block: Int) -> Int {
        (columns + 31) / 32 * 32 * (block + 1) * 4
    }

    public init(columns: Int, block: Int, forms: Matrix.Forms = .straight) {
        precondition(columns > 0 && block % 32 == 0 && block <= Int(TSR_FEEDBACK_BLOCK), "\(block)")
        self.columns = columns
        self.block = block
        isTurned = forms == .turned
        let padded = (columns + 31) / 32 * 32
        values = Buffer(count: padded * block)
        gains = Buffer(count: padded)
    }

    /// Takes the inputs of `tokens` more positions in.
    public func add(_ a: Activations, tokens: Int, on compute: Compute) {
        precondition(a.columns == columns && !isFinished, "\(a.columns) columns for \(columns)")
        a.check(tokens: tokens)
        let values = isTurned ? turned(a, tokens: tokens) : a.values
        // Safe: columns lie within a token's row, products within the buffer.
        unsafe tsr_add_all_products(
            compute.raw.pool, values.pointer, tokens, a.paddedColumns, columns, block,
            self.values.pointer)
    }

    private func turned(_ a: Activations, tokens: Int) -> Buffer<Float> {
        let turned = Buffer<Float>(count: tokens * a.paddedColumns)
        for token in 0..<tokens {
            let begin = token * a.paddedColumns
            a.values.withSpan(begin..<begin + columns) { row in
                for column in row.indices { turned[begin + column] = row[column] }
            }
            // Safe: a whole row.
            unsafe tsr_kernels_scalar().pointee.hadamard(turned.pointer + begin, columns)
        }
        return turned
    }

    /// Makes the feedback; nothing can be added from then on.
    public func finish() {
        precondition(!isFinished, "finished already")
        isFinished = true
        var sum = 0.0
        for column in 0..<columns { sum += Double(values[column * block + column % block]) }
        for first in stride(from: 0, to: columns, by: block) {
            // Safe: as above.
            unsafe tsr_make_feedback(
                values.pointer + first * block, min(block, columns - first), block,
                sum / Double(columns), gains.pointer + first)
        }
    }
}
