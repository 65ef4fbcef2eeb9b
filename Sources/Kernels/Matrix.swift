internal import TesseraCKernels

/// Where the stored tiles of a matrix lie in memory, at the moment.
@safe public final class TileTable: @unchecked Sendable {
    public var count: Int { unsafe raw.count }
    let raw: Buffer<tsr_tile>

    public init(count: Int) { unsafe raw = Buffer(count: count) }

    /// - Parameter bytes: The whole stored tile; must stay for as long as it is multiplied with.
    @unsafe public func set(_ index: Int, to bytes: UnsafeRawBufferPointer) {
        precondition(index >= 0 && index < count, "tile \(index) of \(count)")
        unsafe raw[index] = tsr_tile(
            bytes: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), count: bytes.count)
    }

    /// The same for a coded tile that has been decoded.
    ///
    /// - Parameter plain: Its panels; must stay for as long as it is multiplied with.
    @unsafe public func set(_ index: Int, decoded plain: UnsafeRawPointer) {
        precondition(index >= 0 && index < count, "tile \(index) of \(count)")
        unsafe raw[index] = tsr_tile(
            bytes: plain.assumingMemoryBound(to: UInt8.self), count: 0)
    }
}

extension Compute {
    /// Decodes tiles of a coded matrix, all threads together.
    ///
    /// - Parameters:
    ///   - tiles: Set in the matrix's table.
    ///   - out: Room for `tileBytes` of each.
    /// - Returns: Whether none was damaged.
    @unsafe public func decode(
        _ matrix: Matrix, tiles: Range<Int>, to out: UnsafeMutableRawPointer
    ) -> Bool {
        precondition(matrix.isCoded && matrix.tileBytes <= decodedTileBytes, "not decodable here")
        return unsafe withRaw { compute in
            unsafe withUnsafePointer(to: matrix.raw) {
                unsafe tsr_decode_tiles(
                    compute, $0, tiles.lowerBound, tiles.count,
                    out.assumingMemoryBound(to: UInt8.self))
            }
        }
    }
}

/// A weight matrix `[rows, columns]` as it is stored. Byte layouts: Formats/TSR.md §9 and §10.
///
/// Does not own the bytes, but keeps their owner alive if it knows the owner.
@safe public struct Matrix: @unchecked Sendable {
    /// How the values are coded; raw values are those of the file format.
    public enum Encoding: UInt32, Sendable, CaseIterable {
        case f32 = 1
        case f16 = 2
        case int8 = 3
        case int4 = 4
        case int4Affine = 5
        case int5 = 6
        case int5Affine = 7
        case int2Nested = 8
        case int3Nested = 9
        case int4Nested = 10
        case int5Nested = 11
        case int6Nested = 12

        public var isFloat: Bool { self == .f32 || self == .f16 }
    }

    /// How its tiles are stored; raw values are those of the file format.
    public enum Storage: UInt32, Sendable, CaseIterable {
        case plain = 0
        case zstd = 1
        case rans = 2
        case trellis = 4
    }

    public let rows: Int
    public let columns: Int
    public let encoding: Encoding
    /// Stored bytes that multiplying by this matrix reads.
    public let byteCount: Int
    /// Whether tiles are decoded before they are multiplied.
    public let isCoded: Bool
    /// Bytes of a tile when plain; 0 for a matrix that is not in tiles.
    public let tileBytes: Int
    /// The activations' codes that it multiplies; none for floats.
    public let forms: Forms
    let raw: tsr_matrix
    private let tiles: TileTable?
    private let owner: (any AnyObject & Sendable)?

    /// Bytes of a decoded tile; 0 where none is.
    var codedTileBytes: Int { isCoded ? tileBytes : 0 }

    /// A matrix whose plain panels follow each other.
    ///
    /// - Parameters:
    ///   - bytes: All panels of the matrix; must outlive every use of it.
    ///   - owner: An object that keeps them alive; nil if the caller does.
    /// - Precondition: `bytes` has the size that the shape and the encoding ask for.
    @unsafe public init(
        rows: Int, columns: Int, encoding: Encoding, bytes: UnsafeRawBufferPointer,
        owner: (any AnyObject & Sendable)? = nil
    ) {
        let panelBytes = Self.panelBytes(encoding, columns: columns)
        let panels = encoding.isFloat ? rows : (rows + 15) / 16
        precondition(
            rows > 0 && columns > 0 && bytes.count == panels * panelBytes,
            "\(bytes.count) bytes for \(rows) x \(columns) \(encoding)")
        self.rows = rows
        self.columns = columns
        self.encoding = encoding
        byteCount = bytes.count
        isCoded = false
        tileBytes = 0
        forms = encoding.isFloat ? [] : .straight
        tiles = nil
        self.owner = owner
        unsafe raw = tsr_matrix(
            base: bytes.baseAddress!.assumingMemoryBound(to: UInt8.self), rows: rows,
            columns: columns, panel_bytes: panelBytes, encoding: encoding.rawValue,
            storage: Storage.plain.rawValue, tiles: nil, tile_panels: 0)
    }

    /// A matrix of integers in tiles that may lie anywhere.
    ///
    /// - Parameters:
    ///   - tileRows: Rows of each tile but the last, a multiple of 16.
    ///   - tiles: One entry per tile, each set before the tile is multiplied with.
    ///   - byteCount: Stored bytes of all tiles.
    ///   - owner: An object that keeps the tiles in their places; nil if the caller does.
    public init(
        rows: Int, columns: Int, encoding: Encoding, storage: Storage, tileRows: Int,
        tiles: TileTable, byteCount: Int, owner: (any AnyObject & Sendable)? = nil
    ) {
        precondition(
            !encoding.isFloat && tileRows > 0 && tileRows % 16 == 0
                && tiles.count == (rows + tileRows - 1) / tileRows,
            "\(tiles.count) tiles of \(tileRows) rows for \(rows) x \(columns) \(encoding)")
        let panelBytes = Self.panelBytes(encoding, columns: columns)
        self.rows = rows
        self.columns = columns
        self.encoding = encoding
        self.byteCount = byteCount
        isCoded = storage != .plain
        tileBytes = tileRows / 16 * panelBytes
        forms = storage.form
        self.tiles = tiles
        self.owner = owner
        unsafe raw = tsr_matrix(
            base: nil, rows: rows, columns: columns, panel_bytes: panelBytes,
            encoding: encoding.rawValue,
            storage: storage.rawValue,
            tiles: tiles.raw.pointer, tile_panels: tileRows / 16)
    }

    /// Bytes of one 16-row panel, or of one row of a float matrix.
    public static func panelBytes(_ encoding: Encoding, columns: Int) -> Int {
        switch encoding {
        case .f32: columns * 4
        case .f16: columns * 2
        default: tsr_panel_bytes(encoding.rawValue, (columns + 31) / 32)
        }
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
    /// Bytes of the largest decoded tile; 0 where none is.
    let codedTileBytes: Int
    /// The activations' codes that its matrices multiply.
    let forms: Matrix.Forms
    let raw: Buffer<tsr_matrix>
    let parts: Buffer<tsr_part>

    /// - Precondition: All matrices have the same number of columns.
    public init(_ matrices: [Matrix]) {
        precondition(!matrices.isEmpty, "an empty group")
        columns = matrices[0].columns
        unsafe raw = Buffer(count: matrices.count)
        parts = Buffer(count: matrices.count)
        self.matrices = matrices
        codedTileBytes = matrices.reduce(0) { max($0, $1.codedTileBytes) }
        forms = matrices.reduce(into: []) { $0.formUnion($1.forms) }
        var stride = 0
        var starts: [Int] = []
        for (index, matrix) in matrices.enumerated() {
            precondition(matrix.columns == columns, "\(matrix.columns) columns next to \(columns)")
            unsafe raw[index] = matrix.raw
            starts.append(stride)
            stride += (matrix.rows + 15) / 16 * 16
        }
        rowOffsets = starts
        outputStride = stride
        for index in matrices.indices { select(allOf: index) }
    }

    /// Stored bytes that multiplying by all of it reads.
    public var byteCount: Int { matrices.reduce(0) { $0 + $1.byteCount } }

    /// Tiles of matrix `index` that are multiplied; for a matrix that is not in tiles: panels.
    public func selected(of index: Int) -> Range<Int> { parts[index].begin..<parts[index].end }

    /// Selects the tiles of matrix `index` that are multiplied from now on; there may be none.
    ///
    /// - Precondition: The matrix is in tiles, and these are among them.
    public func select(_ tiles: Range<Int>, of index: Int) {
        let count = unsafe tsr_units(raw.pointer + index)
        precondition(
            tiles.isEmpty
                || matrices[index].tileBytes > 0 && tiles.lowerBound >= 0
                    && tiles.upperBound <= count,
            "tiles \(tiles) of matrix \(index)")
        parts[index] = tsr_part(
            offset: rowOffsets[index], begin: tiles.lowerBound, end: tiles.upperBound)
    }

    /// All of matrix `index` is multiplied from now on, the state at first.
    public func select(allOf index: Int) {
        parts[index] = tsr_part(
            offset: rowOffsets[index], begin: 0, end: unsafe tsr_units(raw.pointer + index))
    }
}
