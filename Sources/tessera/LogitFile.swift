internal import Glibc
internal import Kernels
internal import System
internal import WeightFile

// "TSRLOGIT", u32 version 1, u32 positions, u32 vocabulary, i32 ids[positions + 1],
// f32 logits[positions][vocabulary]; little-endian. Row i belongs to ids[i], predicts ids[i + 1].
private let magic = Array("TSRLOGIT".utf8)
private let headerBytes = 20

/// Reads a file of logits row by row.
final class LogitReader {
    let path: String
    let vocabulary: Int
    /// The text, one id longer than there are rows.
    let ids: [Int32]
    private let descriptor: Int32
    private var rowsLeft: Int

    init(path: String) throws {
        self.path = path
        // Non-blocking, so that a pipe is refused below and not waited for.
        descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else {
            throw CommandError(.noInput, "\(path): \(systemMessage(errno))")
        }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw CommandError(.noInput, "\(path): not a regular file; give a file of logits")
        }
        let header = try Self.bytes(headerBytes, descriptor, path)
        func field(_ offset: Int) -> Int {
            (0..<4).reduce(0) { $0 | Int(header[offset + $1]) << (8 * $1) }
        }
        guard header.starts(with: magic), field(8) == 1 else {
            throw CommandError(.badData, "\(path): not a file of logits, version 1")
        }
        let positions = field(12)
        vocabulary = field(16)
        rowsLeft = positions
        // Sizes are checked against the file before anything is allocated by them.
        let (values, isHuge) = positions.multipliedReportingOverflow(by: 4 * vocabulary)
        let needed =
            isHuge || values > 1 << 60 ? Int.max : headerBytes + 4 * (positions + 1) + values
        guard positions > 0, vocabulary > 0, Int(status.st_size) == needed else {
            throw CommandError(
                .badData,
                "\(path): \(Int(status.st_size)) bytes, but \(positions) positions of "
                    + "\(vocabulary) logits take \(needed)")
        }
        let raw = try Self.bytes(4 * (positions + 1), descriptor, path)
        ids = (0...positions).map { index in
            Int32(bitPattern: (0..<4).reduce(0) { $0 | UInt32(raw[4 * index + $1]) << (8 * $1) })
        }
    }

    deinit { close(descriptor) }

    /// The next row.
    func read(into row: inout [Float]) throws {
        precondition(rowsLeft > 0 && row.count == vocabulary, "\(rowsLeft) rows left")
        rowsLeft -= 1
        let done = unsafe row.withUnsafeMutableBytes { bytes in
            unsafe Self.fill(bytes, descriptor)
        }
        guard done else { throw CommandError(.ioError, "\(path): ends too early") }
    }

    private static func bytes(_ count: Int, _ descriptor: Int32, _ path: String) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let done = unsafe bytes.withUnsafeMutableBytes { unsafe fill($0, descriptor) }
        guard done else { throw CommandError(.badData, "\(path): ends too early") }
        return bytes
    }

    private static func fill(_ bytes: UnsafeMutableRawBufferPointer, _ descriptor: Int32) -> Bool {
        var at = 0
        while at < bytes.count {
            let count = unsafe Glibc.read(
                descriptor, bytes.baseAddress.map { unsafe $0 + at }, bytes.count - at)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { return false }
            at += count
        }
        return true
    }
}

/// Writes a file of logits row by row.
final class LogitWriter {
    private let output: OutputFile

    /// Bytes of a file with a row for each of `ids` but the last.
    static func byteCount(ids: Int, vocabulary: Int) -> Int {
        headerBytes + 4 * ids + (ids - 1) * rowBytes(vocabulary: vocabulary)
    }

    /// Bytes of one row.
    static func rowBytes(vocabulary: Int) -> Int { 4 * vocabulary }

    init(_ place: OutputPlace, ids: [Int32], vocabulary: Int) throws {
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

    func append(_ logits: Buffer<Float>, _ range: Range<Int>) throws {
        try logits.withSpan(range) { row in try unsafe output.append(row.bytes) }
    }

    func finish() throws { try output.commit() }
}
