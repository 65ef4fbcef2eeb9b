/// How the tiles of a tensor are stored. Formats/TSR.md §9.
public enum StorageClass: UInt32, Sendable, CaseIterable {
    /// As the kernels read them.
    case plain = 0
    /// Entropy-coded, to be decoded before each use.
    case zstd = 1
    /// The same with a coder of codes that decodes faster where registers of 512 bits are to be had.
    case rans = 2
    /// 8-bit codes at a fixed rate; neighbours share bits; decoded faster. Rows are stored turned.
    case trellis = 4
}

/// A tensor that is to be written.
public struct TensorSpec: Sendable, Equatable {
    /// Hugging Face's name, e.g. `model.layers.0.self_attn.q_proj.weight`; 1...255 bytes.
    public var name: String
    public var rows: Int
    public var columns: Int
    public var encoding: TensorEncoding
    public var storage: StorageClass

    public init(
        name: String, rows: Int, columns: Int, encoding: TensorEncoding,
        storage: StorageClass = .plain
    ) {
        self.name = name
        self.rows = rows
        self.columns = columns
        self.encoding = encoding
        self.storage = storage
    }

    /// Rows of each of its tiles but the last.
    ///
    /// - Precondition: Rows and columns are not less than 1.
    public var tileRows: Int {
        encoding.tileRows(rows: rows, columns: columns, storage: storage)
    }
}

/// A tensor of a file. Formats/TSR.md §8.
public struct TensorRecord: Sendable, Equatable {
    /// Hugging Face's name.
    public var name: String
    public var rows: Int
    public var columns: Int
    public var encoding: TensorEncoding
    public var storage: StorageClass
    /// Rows of each tile but the last, which may have fewer.
    public var tileRows: Int
    public var tileCount: Int
    /// Index of the first tile in the file's tile table.
    public var firstTile: Int
    /// First byte in the file; a multiple of 16 KiB, for tensors smaller than that of 64.
    public var offset: Int
    /// Bytes stored, the sum of its tiles'.
    public var byteCount: Int

    /// Bytes of one panel of 16 rows, or for f32 and f16 of one row.
    ///
    /// - Precondition: The result fits an Int.
    public static func panelBytes(encoding: TensorEncoding, columns: Int) -> Int {
        guard let bytes = encoding.panelBytes(columns: columns) else {
            preconditionFailure("a panel of \(columns) columns does not fit the address space")
        }
        return bytes
    }

    /// Bytes of a plain tensor.
    ///
    /// - Precondition: The result fits an Int.
    public static func byteCount(encoding: TensorEncoding, rows: Int, columns: Int) -> Int {
        guard let bytes = encoding.byteCount(rows: rows, columns: columns) else {
            preconditionFailure("\(rows) x \(columns) values do not fit the address space")
        }
        return bytes
    }

    /// Bytes of all its panels when they are plain.
    ///
    /// - Precondition: The record was validated.
    public var plainBytes: Int {
        Self.byteCount(encoding: encoding, rows: rows, columns: columns)
    }

    /// Bytes of tile `index` when it is plain.
    ///
    /// - Precondition: The record was validated.
    public func plainTileBytes(_ index: Int) -> Int {
        let unit = encoding.rowsPerPanel
        let panels = min(tileRows / unit, (rows - index * tileRows - 1) / unit + 1)
        return panels * Self.panelBytes(encoding: encoding, columns: columns)
    }

    /// Bytes that the tile table has for each tile.
    public static let tileEntryBytes = TensorDirectory.tileBytes

    /// Bits stored per value of the matrix.
    public var bitsPerWeight: Double {
        Double(byteCount) * 8 / (Double(rows) * Double(columns))
    }
}

extension TensorEncoding {
    /// Rows of a tile of at most `Limits.tileBytes`, at least one panel, at most the tensor. A tile of a trellis has
    /// twice as many, because its stored bytes are half as many or less, and two panels where they are allowed, because
    /// kernels multiply two at a time.
    func tileRows(rows: Int, columns: Int, storage: StorageClass) -> Int {
        let bytes = max(1, panelBytes(columns: columns) ?? Int.max)
        let whole = (rows - 1) / rowsPerPanel + 1
        var panels = max(1, Limits.tileBytes / bytes)
        if storage == .trellis {
            panels = max(2 * Limits.tileBytes / bytes, bytes <= Limits.largestTileBytes / 2 ? 2 : 1)
        }
        return min(whole, panels) * rowsPerPanel
    }
}

/// Bounds that keep sizes and allocations in proportion. Formats/TSR.md §11.
enum Limits {
    static let headerBytes = 192
    /// Sections of the metadata begin at multiples of this.
    static let sectionAlignment = 16
    /// Tensors of at least this size begin at multiples of it: the largest common page size, so
    /// that each can be advised on, or read around the page cache, alone.
    static let tensorAlignment = 16_384
    /// Smaller and coded tensors begin at multiples of this, a cache line.
    static let smallTensorAlignment = 64
    static let metadataBytes = 64 << 20
    static let tensors = 65_535
    static let nameBytes = 255
    static let modelTypeBytes = 31
    static let sourceBytes = 1_023
    static let dimension = 1 << 31
    /// What the writer aims at; a tile stays in a core's L2 cache.
    static let tileBytes = 65_536
    /// What a reader accepts in a tile of more than one panel.
    static let largestTileBytes = 1 << 20
    /// What a reader accepts in a tile of one panel.
    static let largestPanelBytes = 1 << 30
    /// What a reader accepts in a coded tile of one panel: it needs a buffer for it.
    static let largestCodedPanelBytes = 1 << 25
    static let fileBytes = 1 << 46
}

/// Where a tensor begins that follows one ending at `end`.
///
/// - Parameter plainBytes: What it takes when plain.
func tensorOffset(after end: Int, plainBytes: Int, storage: StorageClass) -> Int? {
    let isSmall = plainBytes < Limits.tensorAlignment || storage != .plain
    return roundUp(end, to: isSmall ? Limits.smallTensorAlignment : Limits.tensorAlignment)
}

/// `value` rounded up to a multiple of `alignment`, nil past `Int.max`.
func roundUp(_ value: Int, to alignment: Int) -> Int? {
    sum(value, alignment - 1).map { $0 / alignment * alignment }
}

/// `a + b`, nil past `Int.max`.
func sum(_ a: Int, _ b: Int) -> Int? {
    let (value, overflow) = a.addingReportingOverflow(b)
    return overflow ? nil : value
}

/// `a * b`, nil past `Int.max`.
func product(_ a: Int, _ b: Int) -> Int? {
    let (value, overflow) = a.multipliedReportingOverflow(by: b)
    return overflow ? nil : value
}
