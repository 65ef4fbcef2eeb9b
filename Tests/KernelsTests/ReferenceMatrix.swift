import Kernels

/// A seeded generator (SplitMix64), the same on every machine.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
    mutating func float(_ range: ClosedRange<Float>) -> Float {
        Float.random(in: range, using: &self)
    }
}

/// A matrix packed as the format's specification says, beside the values it stands for.
struct ReferenceMatrix {
    let rows: Int
    let columns: Int
    let encoding: Matrix.Encoding
    private(set) var bytes: Buffer<UInt8>
    /// `[rows][columns]`, exactly what the bytes stand for.
    private(set) var values: [[Double]]

    var matrix: Matrix {
        unsafe Matrix(
            rows: rows, columns: columns, encoding: encoding,
            bytes: UnsafeRawBufferPointer(start: bytes.pointer, count: bytes.count))
    }

    /// Random codes; with `extreme`, only the smallest and largest.
    init(
        rows: Int, columns: Int, encoding: Matrix.Encoding, extreme: Bool = false,
        using random: inout SeededGenerator
    ) {
        self.rows = rows
        self.columns = columns
        self.encoding = encoding
        let panelBytes = Matrix.panelBytes(encoding, columns: columns)
        let isFloat = encoding == .f32 || encoding == .f16
        let panels = isFloat ? rows : (rows + 15) / 16
        bytes = Buffer(count: panels * panelBytes)
        values = Array(repeating: Array(repeating: 0, count: columns), count: rows)
        let groups = (columns + 31) / 32
        let plane = (groups * 32 + 63) / 64 * 64
        if isFloat {
            for row in 0..<rows {
                for column in 0..<columns {
                    let value = random.float(-1...1)
                    if encoding == .f32 {
                        put(value.bitPattern, at: row * panelBytes + column * 4)
                        values[row][column] = Double(value)
                    } else {
                        put(Float16(value).bitPattern, at: row * panelBytes + column * 2)
                        values[row][column] = Double(Float16(value))
                    }
                }
            }
            return
        }
        for row in 0..<panels * 16 {
            let panel = row / 16 * panelBytes
            for group in 0..<groups {
                let scale = Float16(random.float(0.001...0.02))
                let minimum = Float16(random.float(-0.2...0))
                put(scale.bitPattern, at: panel + (group * 16 + row % 16) * 2)
                if encoding == .int4Affine {
                    put(minimum.bitPattern, at: panel + plane + (group * 16 + row % 16) * 2)
                }
                for i in 0..<32 {
                    let column = group * 32 + i
                    let inside = row < rows && column < columns
                    let code = Self.code(encoding, inside: inside, extreme, &random)
                    store(code, panel: panel, plane: plane, group: group, row: row % 16, i: i)
                    guard inside else { continue }
                    switch encoding {
                    case .int8: values[row][column] = Double(scale) * Double(Int(code) - 128)
                    case .int4: values[row][column] = Double(scale) * Double(Int(code) - 8)
                    default:
                        values[row][column] = Double(scale) * Double(code) + Double(minimum)
                    }
                }
            }
        }
    }

    private static func code(
        _ encoding: Matrix.Encoding, inside: Bool, _ extreme: Bool,
        _ random: inout SeededGenerator
    ) -> UInt8 {
        let range: ClosedRange<UInt8> = encoding == .int8 ? 1...255 : 0...15
        guard inside else { return encoding == .int8 ? 128 : encoding == .int4 ? 8 : 0 }
        if extreme { return Bool.random(using: &random) ? range.lowerBound : range.upperBound }
        return UInt8.random(in: range, using: &random)
    }

    private func store(_ code: UInt8, panel: Int, plane: Int, group: Int, row: Int, i: Int) {
        if encoding == .int8 {
            bytes[panel + plane + group * 512 + i / 4 * 64 + row * 4 + i % 4] = code
            return
        }
        let planes = encoding == .int4Affine ? 2 : 1
        let at = panel + planes * plane + group * 256 + i / 8 * 64 + row * 4 + i % 4
        bytes[at] |= i % 8 < 4 ? code : code << 4
    }

    private func put<T: FixedWidthInteger>(_ bits: T, at offset: Int) {
        for index in 0..<MemoryLayout<T>.size {
            bytes[offset + index] = UInt8(truncatingIfNeeded: bits >> T(8 * index))
        }
    }
}
