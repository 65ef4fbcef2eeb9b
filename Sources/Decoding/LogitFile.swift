internal import Glibc
public import TesseraKernels
internal import TesseraMachine
public import TesseraWeightFile

// "TSRLOGIT", u32 version 1, u32 positions, u32 vocabulary, i32 ids[positions + 1],
// f32 logits[positions][vocabulary]; little-endian. Row i belongs to ids[i], predicts ids[i + 1].
private let magic = Array("TSRLOGIT".utf8)
private let headerBytes = 20

/// Why a file of logits cannot be read.
public enum LogitFileError: Error, Equatable, CustomStringConvertible {
    /// There is no such file, or it may not be read.
    case unreadable(String, reason: String)
    /// Its bytes are not those of a file of logits.
    case damaged(String, reason: String)
    /// It became shorter while it was read.
    case cutShort(String)

    public var description: String {
        switch self {
        case .unreadable(let path, let reason), .damaged(let path, let reason):
            "\(path): \(reason)"
        case .cutShort(let path): "\(path): became shorter while it was read"
        }
    }
}

/// Reads a file of logits row by row.
public final class LogitReader {
    public let path: String
    /// Values of a row.
    public let vocabulary: Int
    /// The text, one id longer than there are rows.
    public let ids: [Int32]
    private let file: ReadableFile
    /// Bytes before the next row.
    private var place: Int
    private var rowsLeft: Int

    public init(path: String) throws(LogitFileError) {
        self.path = path
        do {
            file = try ReadableFile(path)
        } catch {
            throw .unreadable(path, reason: error.description)
        }
        var status = stat()
        guard unsafe fstat(file.descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw .unreadable(path, reason: "not a regular file; give a file of logits")
        }
        let header = try Self.bytes(headerBytes, of: file, at: 0, path)
        func field(_ offset: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(header[offset + $1]) << (8 * $1) }
        }
        guard header.starts(with: magic), field(8) == 1 else {
            throw .damaged(path, reason: "not a file of logits, version 1")
        }
        let positions = field(12)
        vocabulary = field(16)
        rowsLeft = positions
        // Sizes are checked against the file before anything is allocated by them.
        let needed = Self.byteCount(positions: positions, vocabulary: vocabulary)
        guard positions > 0, vocabulary > 0, Int(status.st_size) == needed else {
            let size = needed.map { "\($0)" } ?? "more than 2^63 bytes"
            throw .damaged(
                path,
                reason: "\(status.st_size) bytes, but \(positions) positions of "
                    + "\(vocabulary) logits take \(size)")
        }
        let raw = try Self.bytes(4 * (positions + 1), of: file, at: headerBytes, path)
        place = headerBytes + raw.count
        ids = (0...positions).map { index in
            Int32(bitPattern: (0..<4).reduce(0) { $0 | UInt32(raw[4 * index + $1]) << (8 * $1) })
        }
    }

    /// Bytes of the whole file; nil if they do not fit an Int.
    private static func byteCount(positions: Int, vocabulary: Int) -> Int? {
        let (logits, isHuge) = positions.multipliedReportingOverflow(by: 4 * vocabulary)
        let (sum, isTooLarge) = logits.addingReportingOverflow(headerBytes + 4 * (positions + 1))
        return isHuge || isTooLarge ? nil : sum
    }

    /// The next row.
    public func read(into row: inout [Float]) throws(LogitFileError) {
        precondition(rowsLeft > 0 && row.count == vocabulary, "\(rowsLeft) rows left")
        rowsLeft -= 1
        let (file, start) = (file, place)
        let outcome = unsafe row.withUnsafeMutableBytes { bytes in
            unsafe file.read(into: bytes, at: start)
        }
        guard outcome == .complete else { throw .cutShort(path) }
        place += 4 * vocabulary
    }

    private static func bytes(
        _ count: Int, of file: ReadableFile, at offset: Int, _ path: String
    ) throws(LogitFileError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let outcome = unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe file.read(into: bytes, at: offset)
        }
        guard outcome == .complete else { throw .damaged(path, reason: "ends too early") }
        return bytes
    }
}

/// Writes a file of logits row by row.
public final class LogitWriter {
    private let output: OutputFile

    /// Bytes of a file with a row for each of `ids` but the last.
    public static func byteCount(ids: Int, vocabulary: Int) -> Int {
        headerBytes + 4 * ids + (ids - 1) * rowBytes(vocabulary: vocabulary)
    }

    /// Bytes of one row.
    public static func rowBytes(vocabulary: Int) -> Int { 4 * vocabulary }

    public init(_ place: OutputPlace, ids: [Int32], vocabulary: Int) throws(WeightFileError) {
        output = try OutputFile(
            place, byteCount: Self.byteCount(ids: ids.count, vocabulary: vocabulary))
        var header = magic
        func append(_ value: UInt32) {
            for shift in [0, 8, 16, 24] { header.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        append(1)
        append(UInt32(ids.count - 1))
        append(UInt32(vocabulary))
        for id in ids { append(UInt32(bitPattern: id)) }
        try output.append(header)
    }

    public func append(_ logits: Buffer<Float>, _ range: Range<Int>) throws {
        try logits.withSpan(range) { row in try unsafe output.append(row.bytes) }
    }

    public func finish() throws(WeightFileError) { try output.commit() }
}
