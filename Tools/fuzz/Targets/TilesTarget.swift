import TesseraCKernels
import TesseraKernels
import Synchronization
import TesseraWeightFile

/// The decoders of stored tiles, in the reader and in the kernels of every instruction set: nothing is read
/// or written beyond a tile, all say the same of it, and what was coded comes back.
enum TilesTarget {
    /// What the first bytes of an input choose.
    private struct Shape {
        let storage: StorageClass
        let encoding: TensorEncoding
        let panels: Int
        let columns: Int

        init(_ input: inout InputBytes) {
            storage = input.choice([.zstd, .rans, .trellis])
            let chosen = input.choice([TensorEncoding.int8, .int4, .int4Affine])
            encoding = storage == .trellis ? .int8 : chosen
            panels = 1 + input.choice(3)
            columns = 1 + input.choice(160)
        }

        var groups: Int { (columns + 31) / 32 }
        var panelBytes: Int { Matrix.panelBytes(kernelEncoding, columns: columns) }
        var kernelEncoding: Matrix.Encoding {
            Matrix.Encoding(rawValue: encoding.rawValue) ?? .int8
        }
    }

    static func run(_ bytes: [UInt8]) {
        var input = InputBytes(bytes)
        let shape = Shape(&input)
        switch input.choice(3) {
        case 0: check(Array(input.rest), shape)
        case 1: check(coded(content(input.rest, shape), shape), shape)
        default:
            // A tile as the writer makes it, with some bytes changed.
            let changes = input.bytes(12)
            var tile = coded(content(input.rest, shape), shape)
            for index in stride(from: 0, to: changes.count - 2, by: 3) {
                let place = Int(changes[index]) | Int(changes[index + 1]) << 8
                tile[place % tile.count] ^= changes[index + 2]
            }
            check(tile, shape)
        }
    }

    // MARK: Making tiles

    /// Panels whose codes are those of the input, over and over.
    private static func content(_ source: ArraySlice<UInt8>, _ shape: Shape) -> [UInt8] {
        let count = shape.panels * shape.panelBytes
        let bytes = source.isEmpty ? [1] : Array(source)
        return (0..<count).map { bytes[$0 % bytes.count] }
    }

    private static func coded(_ plain: [UInt8], _ shape: Shape) -> [UInt8] {
        if shape.storage == .trellis { return trellis(plain, shape) }
        let coder = TileCoder(
            encoding: shape.encoding, storage: shape.storage, columns: shape.columns)
        let tile = coder.encode(plain)
        precondition(
            coder.decode(tile.span.bytes, panels: shape.panels) == plain, "not what was coded")
        return tile
    }

    /// Tables by rate, each made when it is first asked for: one takes seconds under a sanitizer.
    private static let tables = Mutex<[Int: Trellis]>([:])

    private static func table(rate: Int) -> Trellis {
        tables.withLock {
            if let known = $0[rate] { return known }
            let table = Trellis(
                rate: rate, values: (0..<512).map { Float($0 % 61) / 20 - 1.5 })
            $0[rate] = table
            return table
        }
    }

    /// The first bytes choose the rate and how many rows there are; each other byte is a value.
    private static func trellis(_ plain: [UInt8], _ shape: Shape) -> [UInt8] {
        let rows = shape.panels * 16 - Int(plain[0] % 16)
        let values = (0..<rows * shape.columns).map {
            Float(Int8(bitPattern: plain[$0 % plain.count]))
        }
        let table = table(rate: 2 + Int(plain[1]) % 7)
        guard let made = try? table.encode(values, rows: rows, columns: shape.columns) else {
            return [0]
        }
        return made.tile
    }

    // MARK: Reading tiles

    private static func check(_ tile: [UInt8], _ shape: Shape) {
        // The reader refuses a tile of no bytes before it comes to decoders.
        guard !tile.isEmpty else { return }
        let coder = TileCoder(
            encoding: shape.encoding, storage: shape.storage, columns: shape.columns)
        let expected = coder.decode(tile.span.bytes, panels: shape.panels)
        // Its own allocation, so that a read beyond it is seen.
        let stored = Stored(tile)
        for isa in Compute.availableISAs {
            guard
                let compute = try? Compute(
                    isa: isa, threads: 1, tileBytes: shape.panels * shape.panelBytes)
            else { fatalError("no kernels for \(isa)") }
            let matrix = stored.matrix(
                shape.panels, shape.columns, shape.kernelEncoding, shape.storage)
            let decoded = stored.decoded(matrix, compute)
            precondition(decoded == expected, "\(isa) differs from the reader")
            precondition(compute.hasSeenDamage == (expected == nil))
        }
        if let expected, isUsual(expected, shape) { checkProducts(stored, expected, shape) }
    }

    /// Finite scales, and int8 codes that a writer makes.
    private static func isUsual(_ plain: [UInt8], _ shape: Shape) -> Bool {
        let codes = shape.groups * (shape.encoding == .int8 ? 512 : 256)
        for panel in stride(from: 0, to: plain.count, by: shape.panelBytes) {
            let planes = shape.panelBytes - codes
            for at in stride(from: panel, to: panel + planes, by: 2)
            where plain[at + 1] & 0x7c == 0x7c {
                return false
            }
            let body = plain[panel + planes..<panel + shape.panelBytes]
            if shape.encoding == .int8, body.contains(0) { return false }
        }
        return true
    }

    /// Products with the coded tile are those with its panels, bit for bit.
    private static func checkProducts(_ stored: Stored, _ plain: [UInt8], _ shape: Shape) {
        let panels = Stored(plain)
        for isa in Compute.availableISAs {
            guard
                let compute = try? Compute(
                    isa: isa, threads: 1, tileBytes: shape.panels * shape.panelBytes)
            else { fatalError("no kernels for \(isa)") }
            let products = [(stored, shape.storage), (panels, StorageClass.plain)].map {
                bytes, storage in
                let matrix = bytes.matrix(
                    shape.panels, shape.columns, shape.kernelEncoding, storage)
                return product(matrix, compute, turned: shape.storage == .trellis)
            }
            precondition(products[0] == products[1], "\(isa) multiplies otherwise")
            precondition(!compute.hasSeenDamage)
        }
    }

    /// - Parameter turned: Whether the panels are of turned rows, of a trellis or not.
    private static func product(
        _ matrix: Matrix, _ compute: Compute, turned: Bool
    ) -> [UInt32] {
        let tokens = 3
        let x = Activations(tokenCapacity: tokens, columns: matrix.columns, forms: matrix.forms)
        for token in 0..<tokens {
            var row = (0..<matrix.columns).map { Float(($0 * 7 + token) % 13) - 6 }
            if turned, matrix.forms == .straight { turnRows(&row, columns: matrix.columns) }
            for column in 0..<matrix.columns {
                x.values[token * x.paddedColumns + column] = row[column]
            }
        }
        compute.quantize(x, tokens: tokens)
        let group = MatrixGroup([matrix])
        let y = Buffer<Float>(count: tokens * group.outputStride)
        compute.multiply(group, x, tokens: tokens, into: y)
        return (0..<y.count).map { y[$0].bitPattern }
    }
}

/// Bytes in memory of exactly their size.
private final class Stored {
    private let bytes: UnsafeMutableRawBufferPointer

    init(_ content: [UInt8]) {
        bytes = .allocate(byteCount: max(1, content.count), alignment: 64)
        bytes.copyBytes(from: content)
        count = content.count
    }

    private let count: Int

    deinit { bytes.deallocate() }

    func matrix(
        _ panels: Int, _ columns: Int, _ encoding: Matrix.Encoding, _ storage: StorageClass
    ) -> Matrix {
        let table = TileTable(count: 1)
        table.set(0, to: UnsafeRawBufferPointer(start: bytes.baseAddress, count: count))
        return Matrix(
            rows: panels * 16, columns: columns, encoding: encoding,
            storage: Matrix.Storage(rawValue: storage.rawValue) ?? .plain, tileRows: panels * 16,
            tiles: table, byteCount: count)
    }

    /// What kernels decode it to; nil if it is damaged.
    func decoded(_ matrix: Matrix, _ compute: Compute) -> [UInt8]? {
        var plain = [UInt8](repeating: 0, count: matrix.tileBytes)
        let isWhole = plain.withUnsafeMutableBytes {
            compute.decode(matrix, tiles: 0..<1, to: $0.baseAddress!)
        }
        return isWhole ? plain : nil
    }
}
