import TesseraKernels

/// Rows and columns of a weight matrix.
struct Shape {
    var rows: Int
    var columns: Int
}

/// Matrices of one shape, enough of them that no cache holds all, and activations to multiply.
final class Workload {
    let shape: Shape
    let encoding: Matrix.Encoding
    let groups: [MatrixGroup]
    /// Bytes of one matrix.
    let matrixBytes: Int
    let input: Activations
    private let output: Buffer<Float>
    private let memory: Buffer<UInt8>

    /// About what a small model's weights take; several times a server's share of the last cache.
    private static let totalBytes = 192 << 20

    init(_ shape: Shape, _ encoding: Matrix.Encoding, tokens: Int) {
        self.shape = shape
        self.encoding = encoding
        let panels = encoding == .f32 || encoding == .f16 ? shape.rows : (shape.rows + 15) / 16
        let bytes = panels * Matrix.panelBytes(encoding, columns: shape.columns)
        let padded = (bytes + 63) / 64 * 64
        let copies = max(1, Self.totalBytes / padded)
        let memory = Buffer<UInt8>(count: copies * padded)
        // Plausible bytes: half-precision values between 2^-9 and 2^-7, any codes but 0.
        memory.withMutableSpan(0..<memory.count) { span in
            var state: UInt32 = 1
            for index in 0..<span.count {
                state = state &* 1_664_525 &+ 1_013_904_223
                let high = UInt8(truncatingIfNeeded: state >> 24)
                span[index] = index % 2 == 1 ? 0x18 | high & 0x07 : high | 1
            }
        }
        groups = (0..<copies).map { index in
            let start = unsafe UnsafeRawPointer(memory.pointer + index * padded)
            return MatrixGroup([
                unsafe Matrix(
                    rows: shape.rows, columns: shape.columns, encoding: encoding,
                    bytes: UnsafeRawBufferPointer(start: start, count: bytes))
            ])
        }
        matrixBytes = bytes
        self.memory = memory
        input = Activations(tokenCapacity: tokens, columns: shape.columns)
        for index in 0..<input.values.count {
            input.values[index] = Float(index &* 2_654_435_761 % 2001 - 1000) * 1e-3
        }
        output = Buffer(count: tokens * groups[0].outputStride)
    }

    /// Time of one multiplication: the shortest mean over a few matrices in a row, at least a
    /// millisecond of them, of all matrices or a quarter of a second. The limits it is divided by
    /// are the best of short runs too: what other programs take of the machine is in neither.
    func seconds(on compute: Compute, tokens: Int) -> Double {
        compute.multiply(groups[groups.count - 1], input, tokens: tokens, into: output)
        let start = ContinuousClock.now
        var (next, spent, best) = (0, 0.0, Double.infinity)
        while next < groups.count && spent < 0.25 {
            let (first, before) = (next, spent)
            repeat {
                compute.multiply(groups[next], input, tokens: tokens, into: output)
                next += 1
                let duration = start.duration(to: .now).components
                spent = Double(duration.seconds) + Double(duration.attoseconds) * 1e-18
            } while next < groups.count && spent - before < 1e-3
            if spent - before >= 1e-3 || best == .infinity {
                best = min(best, (spent - before) / Double(next - first))
            }
        }
        return best
    }
}
