import TesseraCKernels
import TesseraCZstd
import Testing

@testable import TesseraKernels

@Suite struct TileTests {
    static let encodings: [Matrix.Encoding] = [.int8, .int4, .int4Affine]

    /// A matrix's tiles, each in memory of its own, plain or as the file codes them.
    struct Tiles {
        let table: TileTable
        let buffers: [Buffer<UInt8>]
        let matrix: Matrix

        init(_ reference: ReferenceMatrix, tileRows: Int, storage: Matrix.Storage) {
            let panel = Matrix.panelBytes(reference.encoding, columns: reference.columns)
            let plain = unsafe Array(
                UnsafeBufferPointer(
                    start: reference.bytes.pointer, count: reference.bytes.count))
            let size = tileRows / 16 * panel
            let parts = stride(from: 0, to: plain.count, by: size).map {
                Array(plain[$0..<min($0 + size, plain.count)])
            }
            let codes = (reference.columns + 31) / 32 * (reference.encoding == .int8 ? 512 : 256)
            let stored =
                storage == .plain
                ? parts
                : parts.map {
                    Self.code(
                        $0, panel: panel, codes: codes, storage,
                        hasNibbles: reference.encoding != .int8)
                }
            self.init(
                stored, rows: reference.rows, columns: reference.columns,
                encoding: reference.encoding, storage: storage, tileRows: tileRows)
        }

        /// Tiles as they are stored.
        init(
            _ stored: [[UInt8]], rows: Int, columns: Int, encoding: Matrix.Encoding,
            storage: Matrix.Storage, tileRows: Int
        ) {
            table = TileTable(count: stored.count)
            buffers = stored.map { bytes in
                let buffer = Buffer<UInt8>(count: bytes.count)
                for (index, byte) in bytes.enumerated() { buffer[index] = byte }
                return buffer
            }
            for (index, buffer) in buffers.enumerated() {
                unsafe table.set(
                    index, to: UnsafeRawBufferPointer(start: buffer.pointer, count: buffer.count))
            }
            matrix = Matrix(
                rows: rows, columns: columns, encoding: encoding, storage: storage,
                tileRows: tileRows, tiles: table, byteCount: stored.reduce(0) { $0 + $1.count })
        }

        /// A coded tile as Formats/TSR.md §9 says.
        static func code(
            _ plain: [UInt8], panel: Int, codes: Int, _ storage: Matrix.Storage, hasNibbles: Bool
        ) -> [UInt8] {
            var planes: [UInt8] = []
            var symbols: [UInt8] = []
            for start in stride(from: 0, to: plain.count, by: panel) {
                planes += plain[start..<start + panel - codes]
                symbols += plain[start + panel - codes..<start + panel]
            }
            let first = compress(planes)
            let count = UInt32(first.count)
            return (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + first
                + (storage == .zstd ? compress(symbols) : RansTests.code(symbols, hasNibbles))
        }

        private static func compress(_ bytes: [UInt8]) -> [UInt8] {
            var out = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
            let count = unsafe ZSTD_compress(&out, out.count, bytes, bytes.count, 1)
            return Array(out[..<count])
        }
    }

    /// Values between -1 and 1, the same for the same shape.
    ///
    /// - Parameter turned: Whether the values themselves are turned.
    static func activations(
        _ columns: Int, tokens: Int, _ compute: Compute, forms: Matrix.Forms = .straight,
        turned: Bool = false
    ) -> Activations {
        var random = SeededGenerator(seed: 5)
        let a = Activations(tokenCapacity: tokens, columns: columns, forms: forms)
        for token in 0..<tokens {
            var row = (0..<columns).map { _ in random.float(-1...1) }
            if turned { turnRows(&row, columns: columns) }
            for column in 0..<columns { a.values[token * a.paddedColumns + column] = row[column] }
        }
        compute.quantize(a, tokens: tokens)
        return a
    }

    /// Every storage of every encoding, the trellis apart, which `TrellisTests` compares.
    static let stored: [(Matrix.Encoding, Matrix.Storage)] =
        MultiplyTests.integers.map { ($0, .plain) }
        + encodings.flatMap { [($0, .zstd), ($0, .rans)] }

    @Test(arguments: Compute.availableISAs, stored)
    func tilesAnywhereGiveTheProductsOfOnePieceBitForBit(
        isa: String, stored: (encoding: Matrix.Encoding, storage: Matrix.Storage)
    ) throws {
        let (encoding, storage) = stored
        var random = SeededGenerator(seed: 11)
        for (rows, columns, tileRows) in [(70, 100, 16), (70, 100, 32), (129, 33, 128)] {
            let reference = ReferenceMatrix(
                rows: rows, columns: columns, encoding: encoding, using: &random)
            let tiles = Tiles(reference, tileRows: tileRows, storage: storage)
            let compute = try Compute(
                isa: isa, threads: 2, tileBytes: tiles.matrix.codedTileBytes)
            let a = Self.activations(columns, tokens: 5, compute)
            let whole = MatrixGroup([reference.matrix])
            let group = MatrixGroup([tiles.matrix, tiles.matrix])
            let expected = Buffer<Float>(count: 5 * whole.outputStride)
            let y = Buffer<Float>(count: 5 * group.outputStride)
            compute.multiply(whole, a, tokens: 5, into: expected)
            // Some tiles first, then those left: no row is missed.
            group.select(0..<1, of: 0)
            group.select(0..<0, of: 1)
            compute.multiply(group, a, tokens: 5, into: y)
            group.select(1..<tiles.table.count, of: 0)
            group.select(allOf: 1)
            compute.multiply(group, a, tokens: 5, into: y)
            for token in 0..<5 {
                for row in 0..<rows {
                    let value = expected[token * whole.outputStride + row]
                    for offset in group.rowOffsets {
                        #expect(y[token * group.outputStride + offset + row] == value)
                    }
                }
            }
            #expect(!compute.hasSeenDamage)
        }
    }

    @Test(arguments: Compute.availableISAs, encodings)
    func rowsOfCodedTilesAreLookedUp(isa: String, encoding: Matrix.Encoding) throws {
        var random = SeededGenerator(seed: 12)
        let reference = ReferenceMatrix(rows: 50, columns: 40, encoding: encoding, using: &random)
        let tiles = Tiles(reference, tileRows: 32, storage: .rans)
        let compute = try Compute(isa: isa, threads: 1, tileBytes: tiles.matrix.tileBytes)
        let ids = Buffer<Int32>(count: 3)
        for (index, id) in [0, 49, 33].enumerated() { ids[index] = Int32(id) }
        let (x, y) = (Buffer<Float>(count: 120), Buffer<Float>(count: 120))
        compute.embed(tiles.matrix, tokens: ids, count: 3, into: x)
        compute.embed(reference.matrix, tokens: ids, count: 3, into: y)
        for index in 0..<120 { #expect(x[index] == y[index]) }
    }

    @Test(arguments: [Matrix.Storage.zstd, .rans])
    func aDamagedTileIsNoticed(storage: Matrix.Storage) throws {
        var random = SeededGenerator(seed: 13)
        let reference = ReferenceMatrix(rows: 64, columns: 512, encoding: .int8, using: &random)
        let tiles = Tiles(reference, tileRows: 16, storage: storage)
        let compute = try Compute(threads: 2, tileBytes: tiles.matrix.tileBytes)
        let a = Self.activations(512, tokens: 1, compute)
        let y = Buffer<Float>(count: 64)
        // A tile cut short cannot be decoded, whatever its bytes.
        let cut = tiles.buffers[2]
        unsafe tiles.table.set(
            2, to: UnsafeRawBufferPointer(start: cut.pointer, count: cut.count - 9))
        compute.multiply(MatrixGroup([tiles.matrix]), a, tokens: 1, into: y)
        #expect(compute.hasSeenDamage)
    }
}
