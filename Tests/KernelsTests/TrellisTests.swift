import TesseraCKernels
import Testing

@testable import TesseraKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Storage class 4: codes of a fixed rate; neighbours share bits.
@Suite struct TrellisTests {
    static let loops: [tsr_trellis_loop] = {
        let tables = unsafe [
            tsr_kernels_avx2(), tsr_kernels_avx512vnni(), tsr_kernels_neon(), tsr_kernels_i8mm(),
        ]
        return unsafe tables.compactMap { unsafe $0?.pointee.decode_strand }
    }()

    /// A sum of twelve uniform numbers: nearly normal, deviation 1.
    private static func normal(_ count: Int, seed: UInt64) -> [Float] {
        var random = SeededGenerator(seed: seed)
        return (0..<count).map { _ in
            (0..<12).reduce(Float(0)) { sum, _ in sum + random.float(-0.5...0.5) }
        }
    }

    static let trellises = Trellis.rates.map {
        Trellis(rate: $0, values: normal(1 << 16, seed: 1))
    }

    /// The panels of stored tiles.
    private static func panels(_ tile: [UInt8], rows: Int, columns: Int) -> [UInt8]? {
        let (count, groups) = ((rows + 15) / 16, (columns + 31) / 32)
        var plain = [UInt8](
            repeating: 0xAA, count: count * Matrix.panelBytes(.int8, columns: columns) + 1)
        let isWhole = unsafe tsr_trellis_decode(
            tile, tile.count, tsr_trellis_scalar, count, groups, &plain)
        #expect(plain.last == 0xAA)
        return isWhole ? Array(plain.dropLast()) : nil
    }

    /// The values that int8 panels stand for, `[rows][columns]`.
    private static func values(_ plain: [UInt8], rows: Int, columns: Int) -> [[Double]] {
        let (panel, groups) = (Matrix.panelBytes(.int8, columns: columns), (columns + 31) / 32)
        let plane = (groups * 32 + 63) / 64 * 64
        return (0..<rows).map { row in
            (0..<columns).map { column in
                let (base, group) = (row / 16 * panel, column / 32)
                let scale = base + (group * 16 + row % 16) * 2
                let half = UInt16(plain[scale]) | UInt16(plain[scale + 1]) << 8
                let place = group * 512 + column % 32 / 4 * 64 + row % 16 * 4 + column % 4
                return Double(Float16(bitPattern: half))
                    * Double(Int(plain[base + plane + place]) - 128)
            }
        }
    }

    @Test(arguments: Trellis.rates)
    func everyInstructionSetDecodesWhatTheDefinitionSays(rate: Int) {
        var random = SeededGenerator(seed: UInt64(rate))
        let table = (0..<128).map { _ in UInt8(random.next() % 255 + 1) }
        for groups in [1, 2, 3, 18] {
            let count = groups * 512
            let size = tsr_trellis_strand_bytes(groups, UInt32(rate))
            let strand = (0..<size).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let expected = (0..<count).map { index -> UInt8 in
                let window = (0..<7).reduce(0) { window, bit in
                    let at = index * rate / 2 + bit
                    return window | Int(strand[at / 8] >> UInt8(at % 8) & 1) << bit
                }
                return table[window]
            }
            for loop in [tsr_trellis_scalar] + Self.loops {
                var codes = [UInt8](repeating: 0, count: count + 1)
                unsafe loop(strand, size, count, UInt32(rate), table, &codes)
                #expect(codes == expected + [0], "\(groups) groups")
            }
        }
    }

    /// Better than the best scalar quantizer of as many bits (Max 1960: 9.30, 14.62, 20.22 dB for 2, 3 and 4) where
    /// states are many, though rows are stored as long as they were, which costs most where codes are few; and never better than any code can be (6.02 dB a bit).
    @Test(arguments: [
        (2, 3.6), (3, 7.2), (4, 10.2), (5, 13.0), (6, 16.0), (7, 18.4), (8, 21.2), (9, 23.4),
        (10, 25.7),
        (11, 27.2), (12, 29.2),
    ])
    func aGaussianComesAsNearAsATrellisCan(rate: Int, decibels: Double) throws {
        let (rows, columns) = (32, 1024)
        let source = Self.normal(rows * columns, seed: 2)
        let (tile, distance) = try Self.trellises[rate - 2].encode(
            source, rows: rows, columns: columns)
        #expect(tile.count < rows * columns * rate / 16 + 600)
        let plain = try #require(Self.panels(tile, rows: rows, columns: columns))
        let values = Self.values(plain, rows: rows, columns: columns)
        var (error, square) = (0.0, 0.0)
        for row in 0..<rows {
            for column in 0..<columns {
                let value = Double(source[row * columns + column])
                error += (value - values[row][column]) * (value - values[row][column])
                square += value * value
            }
        }
        #expect(abs(distance.squaredError - error) < 1e-6 * square)
        #expect(abs(distance.squaredValue - square) < 1e-6 * square)
        // Twelve uniform numbers have shorter tails than a normal distribution, worth up to 0.2 dB.
        let ratio = 10 * log10(square / error)
        #expect((decibels...3.01 * Double(rate) + 0.2).contains(ratio), "\(ratio) dB")
    }

    @Test(arguments: [(1, 1), (16, 32), (17, 33), (40, 100), (20, 160), (33, 576)])
    func rowsOfAnyScaleAndGroupsFarOutOfReachAreKept(rows: Int, columns: Int) throws {
        var source = Self.normal(rows * columns, seed: 3)
        for row in 0..<rows {
            for column in 0..<columns {
                // Rows of very different sizes; here and there a group of large values.
                var factor = Float(row % 5 + 1) * (row % 3 == 0 ? 1e-3 : 10)
                if column / 32 == 2, row % 4 == 1 { factor *= 60 }
                source[row * columns + column] *= factor
            }
        }
        let (tile, distance) = try Self.trellises[8].encode(source, rows: rows, columns: columns)
        let plain = try #require(Self.panels(tile, rows: rows, columns: columns))
        let values = Self.values(plain, rows: rows, columns: columns)
        var all = 0.0
        for row in 0..<rows {
            let part = source[row * columns..<(row + 1) * columns].map(Double.init)
            let error = zip(part, values[row]).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
            let square = part.reduce(0) { $0 + $1 * $1 }
            #expect(error <= 0.02 * square, "row \(row): \(error / square)")
            all += error
        }
        #expect(abs(distance.squaredError - all) < 1e-4 * all)
    }

    @Test func zerosStayZerosAndWhatIsNoNumberIsRefused() throws {
        let trellis = Self.trellises[4]
        var source = [Float](repeating: 0, count: 20 * 40)
        let (tile, _) = try trellis.encode(source, rows: 20, columns: 40)
        let plain = try #require(Self.panels(tile, rows: 20, columns: 40))
        let isZero = Self.values(plain, rows: 20, columns: 40).allSatisfy { row in
            row.allSatisfy { $0 == 0 }
        }
        #expect(isZero)
        source[700] = .nan
        #expect(throws: PanelEncoder.Refusal.notFinite) {
            _ = try trellis.encode(source, rows: 20, columns: 40)
        }
        for column in 0..<40 { source[18 * 40 + column] = 1e8 }
        source[700] = 0
        #expect(throws: PanelEncoder.Refusal.outOfRange(row: 18)) {
            _ = try trellis.encode(source, rows: 20, columns: 40)
        }
    }

    @Test(arguments: Compute.availableISAs)
    func productsAreThoseOfDecodedPanelsAndTurnedActivationsBitForBit(isa: String) throws {
        for (rows, columns, tileRows, rate) in [
            (70, 100, 32, 7), (16, 32, 16, 2), (129, 576, 48, 8), (40, 33, 32, 11),
            (64, 256, 64, 5),
        ] {
            let source = Self.normal(rows * columns, seed: 4)
            let tiles = try stride(from: 0, to: rows, by: tileRows).map { row in
                let end = min(row + tileRows, rows)
                return try Self.trellises[rate - 2].encode(
                    Array(source[row * columns..<end * columns]), rows: end - row,
                    columns: columns
                ).tile
            }
            let plain = try tiles.enumerated().flatMap { index, tile in
                try #require(
                    Self.panels(
                        tile, rows: min(tileRows, rows - index * tileRows), columns: columns))
            }
            let reference = TileTests.Tiles(
                [plain], rows: rows, columns: columns, encoding: .int8, storage: .plain,
                tileRows: (rows + 15) / 16 * 16)
            let coded = TileTests.Tiles(
                tiles, rows: rows, columns: columns, encoding: .int8, storage: .trellis,
                tileRows: tileRows)
            let compute = try Compute(isa: isa, threads: 2, tileBytes: coded.matrix.tileBytes)
            let (expected, got) = (MatrixGroup([reference.matrix]), MatrixGroup([coded.matrix]))
            for tokens in [1, 2, 5, 16, 70] {
                let a = TileTests.activations(columns, tokens: tokens, compute, forms: .turned)
                let b = TileTests.activations(columns, tokens: tokens, compute, turned: true)
                let y = Buffer<Float>(count: tokens * got.outputStride)
                let z = Buffer<Float>(count: tokens * got.outputStride)
                compute.multiply(expected, b, tokens: tokens, into: y)
                compute.multiply(got, a, tokens: tokens, into: z)
                for token in 0..<tokens {
                    for row in 0..<rows {
                        let place = token * got.outputStride + row
                        #expect(y[place] == z[place], "\(rows) x \(columns), \(tokens) tokens")
                    }
                }
            }
            #expect(!compute.hasSeenDamage)
        }
    }

    /// Matrices of both forms in one group, and rows looked up: all mean the same weights.
    @Test(arguments: Compute.availableISAs)
    func turnedRowsMeanWhatTheyWereBefore(isa: String) throws {
        let (rows, columns) = (32, 192)
        var source = Self.normal(rows * columns, seed: 9)
        for row in 0..<rows { source[row * columns + 5] *= 20 }
        var turned = source
        turnRows(&turned, columns: columns)
        let tile = try Self.trellises[10].encode(turned, rows: rows, columns: columns).tile
        let coded = TileTests.Tiles(
            [tile], rows: rows, columns: columns, encoding: .int8, storage: .trellis, tileRows: rows
        )
        let bytes = try PanelEncoder(encoding: .int8, columns: columns, candidates: 0)
            .encode(source, rows: rows, steps: []).bytes
        let plain = TileTests.Tiles(
            [bytes], rows: rows, columns: columns, encoding: .int8, storage: .plain, tileRows: rows)
        let compute = try Compute(isa: isa, threads: 1, tileBytes: coded.matrix.tileBytes)
        let group = MatrixGroup([coded.matrix, plain.matrix])
        let a = TileTests.activations(
            columns, tokens: 3, compute, forms: [.straight, .turned])
        let y = Buffer<Float>(count: 3 * group.outputStride)
        compute.multiply(group, a, tokens: 3, into: y)
        let ids = Buffer<Int32>(count: rows)
        for row in 0..<rows { ids[row] = Int32(row) }
        let looked = Buffer<Float>(count: rows * columns)
        compute.embed(coded.matrix, tokens: ids, count: rows, into: looked)
        for row in 0..<rows {
            let exact = source[row * columns..<(row + 1) * columns]
            let length = exact.reduce(0) { $0 + $1 * $1 }.squareRoot()
            for column in 0..<columns {
                let error = abs(looked[row * columns + column] - source[row * columns + column])
                #expect(error < 0.02 * length)
            }
            for token in 0..<3 {
                let at = token * group.outputStride + row
                #expect(abs(y[at] - y[at + group.rowOffsets[1]]) < 0.4 * length)
            }
        }
        #expect(!compute.hasSeenDamage)
    }

    @Test(arguments: [1, 9, 32, 96, 576])
    func turningTwiceChangesNothing(columns: Int) {
        let source = Self.normal(2 * columns, seed: 10)
        var rows = source
        turnRows(&rows, columns: columns)
        let squares = [source, rows].map { $0.reduce(0) { $0 + $1 * $1 } }
        #expect(abs(squares[0] - squares[1]) < 1e-4 * squares[0])
        #expect((rows != source) == (columns % 2 == 0))
        turnRows(&rows, columns: columns)
        #expect(zip(rows, source).allSatisfy { abs($0 - $1) < 1e-5 })
    }

    /// Whatever the bytes are, nobody reads or writes beyond them, and all instruction sets agree.
    @Test func hostileBytesAreRefusedOrDecodeToSomething() throws {
        let (rows, columns) = (32, 64)
        var source = Self.normal(rows * columns, seed: 6)
        for column in 0..<32 { source[5 * columns + column] *= 40 }
        let tile = try Self.trellises[4].encode(source, rows: rows, columns: columns).tile
        #expect(Self.panels(tile, rows: rows, columns: columns) != nil)
        #expect(Self.panels(tile, rows: rows + 16, columns: columns) == nil)
        #expect(Self.panels(tile, rows: rows, columns: columns + 32) == nil)
        #expect(Self.panels(tile + [0], rows: rows, columns: columns) == nil)
        var random = SeededGenerator(seed: 7)
        var refused = 0
        for round in 0..<4000 {
            var damaged = tile
            for _ in 0...Int(random.next() % 3) {
                // Half of the time the numbers that say how long the rest is.
                let range = round % 2 == 0 ? 8 : damaged.count
                damaged[Int(random.next() % UInt64(range))] = UInt8(random.next() % 256)
            }
            if round % 5 == 0 { damaged.removeLast(Int(random.next() % UInt64(damaged.count))) }
            if Self.panels(damaged, rows: rows, columns: columns) == nil { refused += 1 }
        }
        #expect(refused > 1000 && refused < 4000)
    }

    @Test(arguments: Compute.availableISAs)
    func aTileCutShortIsNoticed(isa: String) throws {
        let source = Self.normal(64 * 64, seed: 8)
        let tiles = try (0..<4).map {
            try Self.trellises[4].encode(
                Array(source[$0 * 1024..<($0 + 1) * 1024]), rows: 16, columns: 64
            ).tile
        }
        let coded = TileTests.Tiles(
            tiles, rows: 64, columns: 64, encoding: .int8, storage: .trellis, tileRows: 16)
        let compute = try Compute(isa: isa, threads: 2, tileBytes: coded.matrix.tileBytes)
        let a = TileTests.activations(64, tokens: 1, compute, forms: .turned)
        let cut = coded.buffers[2]
        unsafe coded.table.set(
            2, to: UnsafeRawBufferPointer(start: cut.pointer, count: cut.count - 1))
        compute.multiply(
            MatrixGroup([coded.matrix]), a, tokens: 1, into: Buffer<Float>(count: 64))
        #expect(compute.hasSeenDamage)
    }
}
