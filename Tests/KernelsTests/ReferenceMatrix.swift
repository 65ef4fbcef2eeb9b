import TesseraKernels

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

/// A matrix packed as the format's specification says, next to the values it stands for.
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
        let layout = Layout(encoding, columns: columns)
        for panel in stride(from: 0, to: bytes.count, by: panelBytes) {
            fillPlanes(of: panel, layout, &random)
        }
        for row in 0..<panels * 16 {
            let panel = row / 16 * panelBytes
            for column in 0..<layout.groups * 32 {
                let inside = row < rows && column < columns
                let code = layout.code(inside: inside, extreme, &random)
                store(code, layout, panel: panel, row: row % 16, column: column)
                guard inside else { continue }
                let (scale, minimum) = scaling(layout, panel: panel, row: row % 16, column: column)
                values[row][column] = scale * Double(code - layout.offset) + minimum
            }
        }
    }

    /// Scales to 0.02, minimums from -0.2; integers of any size and factors that bring both about.
    private mutating func fillPlanes(
        of panel: Int, _ layout: Layout, _ random: inout SeededGenerator
    ) {
        let group = layout.groups * 16
        if layout.factors == 0 {
            for index in 0..<group {
                put(Float16(random.float(0.001...0.02)).bitPattern, at: panel + 2 * index)
                guard layout.hasMinimums else { continue }
                let minimum = Float16(random.float(-0.2...0))
                put(minimum.bitPattern, at: panel + layout.plane + 2 * index)
            }
            return
        }
        for index in 0..<2 * group {
            bytes[panel + index] = UInt8.random(in: 0...255, using: &random)
        }
        for index in 0..<(layout.groups + 7) / 8 * 16 * layout.factors {
            let factor = Float16(random.float(-0.00008...0.00008))
            put(factor.bitPattern, at: panel + layout.plane + 2 * index)
        }
    }

    private func half(_ offset: Int) -> Double {
        Double(Float16(bitPattern: UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8))
    }

    private func scaling(
        _ layout: Layout, panel: Int, row: Int, column: Int
    ) -> (scale: Double, minimum: Double) {
        let scale = panel + (column / 32 * 16 + row) * 2
        if layout.factors == 0 {
            return (half(scale), layout.hasMinimums ? half(scale + layout.plane) : 0)
        }
        let first = bytes[panel + column / 32 * 32 + row]
        let second = bytes[panel + column / 32 * 32 + 16 + row]
        let own = column % 32 < 16 ? first : second
        let factor = panel + layout.plane + column / 256 * 32 * layout.factors + 2 * row
        if layout.factors == 1 {
            return (half(factor) * Double(Int8(bitPattern: own)), 0)
        }
        let (s, m) = encoding == .int2Nested ? (own & 15, own >> 4) : (first, second)
        return (half(factor) * Double(s), -half(factor + 32) * Double(m))
    }

    private func store(_ code: Int, _ layout: Layout, panel: Int, row: Int, column: Int) {
        let start =
            panel + layout.planesBytes + column / 32 * 64 * layout.bits + row * 4 + column % 4
        let step = column % 32 / 4
        guard layout.bits < 8 else { return bytes[start + 64 * step] = UInt8(code) }
        var taken = 0
        for width in [4, 2, 1] where layout.bits & width != 0 {
            let (line, place) = step.quotientAndRemainder(dividingBy: 8 / width)
            let part = code >> taken & (1 << width - 1)
            bytes[start + 64 * (taken + line)] |= UInt8(part << (width * place))
            taken += width
        }
    }

    /// Where what is in a panel, from Formats/TSR.md §10.
    private struct Layout {
        let groups: Int
        let bits: Int
        let offset: Int
        let hasMinimums: Bool
        /// Numbers per row and super-group.
        let factors: Int
        let plane: Int
        let planesBytes: Int

        init(_ encoding: Matrix.Encoding, columns: Int) {
            groups = (columns + 31) / 32
            plane = (groups * 32 + 63) / 64 * 64
            (bits, offset, hasMinimums, factors) =
                switch encoding {
                case .int8: (8, 128, false, 0)
                case .int4: (4, 8, false, 0)
                case .int4Affine: (4, 0, true, 0)
                case .int5: (5, 16, false, 0)
                case .int5Affine: (5, 0, true, 0)
                case .int2Nested: (2, 0, true, 2)
                case .int3Nested: (3, 4, false, 1)
                case .int4Nested: (4, 0, true, 2)
                case .int5Nested: (5, 0, true, 2)
                default: (6, 32, false, 1)
                }
            let numbers = ((groups + 7) / 8 * 32 * factors + 63) / 64 * 64
            planesBytes = factors > 0 ? plane + numbers : hasMinimums ? 2 * plane : plane
        }

        func code(inside: Bool, _ extreme: Bool, _ random: inout SeededGenerator) -> Int {
            guard inside else { return offset }
            let range = (bits == 8 ? 1 : 0)...(1 << bits - 1)
            if extreme {
                return Bool.random(using: &random) ? range.lowerBound : range.upperBound
            }
            return Int.random(in: range, using: &random)
        }
    }

    private func put<T: FixedWidthInteger>(_ bits: T, at offset: Int) {
        for index in 0..<MemoryLayout<T>.size {
            bytes[offset + index] = UInt8(truncatingIfNeeded: bits >> T(8 * index))
        }
    }
}
