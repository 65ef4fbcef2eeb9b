internal import Glibc
internal import Kernels

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
        descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = unsafe String(cString: strerror(errno))
            throw CommandError(.noInput, "\(path): \(reason)")
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
        let needed = headerBytes + 4 * (positions + 1) + 4 * positions * vocabulary
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, positions > 0, vocabulary > 0,
            Int(status.st_size) == needed
        else {
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

/// Writes a file of logits row by row: beside its place first, and renamed when it is whole.
final class LogitWriter {
    private let path: String
    private let temporary: String
    private let descriptor: Int32
    private var isFinished = false

    init(path: String, ids: [Int32], vocabulary: Int) throws {
        self.path = path
        temporary = "\(path).\(getpid()).tmp"
        descriptor = unsafe Glibc.open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            let reason = unsafe String(cString: strerror(errno))
            throw CommandError(.cannotCreate, "\(path): \(reason)")
        }
        var header = magic
        func append(_ value: UInt32) {
            for shift in [0, 8, 16, 24] { header.append(UInt8(truncatingIfNeeded: value >> shift)) }
        }
        append(1)
        append(UInt32(ids.count - 1))
        append(UInt32(vocabulary))
        for id in ids { append(UInt32(bitPattern: id)) }
        try unsafe header.withUnsafeBytes { try unsafe write($0) }
    }

    deinit {
        close(descriptor)
        if !isFinished { unsafe unlink(temporary) }
    }

    func append(_ logits: Buffer<Float>, _ range: Range<Int>) throws {
        try logits.withSpan(range) { row in
            try unsafe row.withUnsafeBytes { try unsafe write($0) }
        }
    }

    func finish() throws {
        guard fsync(descriptor) == 0, unsafe rename(temporary, path) == 0 else {
            let reason = unsafe String(cString: strerror(errno))
            throw CommandError(.ioError, "\(path): \(reason)")
        }
        isFinished = true
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        var at = 0
        while at < bytes.count {
            let count = unsafe Glibc.write(
                descriptor, bytes.baseAddress.map { unsafe $0 + at }, bytes.count - at)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let reason = unsafe String(cString: strerror(errno))
                throw CommandError(.ioError, "\(path): \(reason)")
            }
            at += count
        }
    }
}
