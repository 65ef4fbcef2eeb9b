/// The fixed 192 bytes at the start of a file. Formats/TSR.md §4.
struct Header: Equatable {
    /// "\x89TSR\r\n\x1a\n": not ASCII, and broken by any conversion of line ends.
    static let magic: [UInt8] = [0x89, 0x54, 0x53, 0x52, 0x0D, 0x0A, 0x1A, 0x0A]
    /// The version this code reads and writes.
    static let version: UInt32 = 2
    /// Where `headerChecksum` stands.
    static let checksumOffset = 184

    /// The parts of the metadata, in file order.
    enum Section: Int, CaseIterable {
        case config, tokenizer, template, directory, tileTable
    }

    /// Bytes of the whole file.
    var fileBytes = 0
    /// First byte of the first tensor; the metadata and its padding end here.
    var dataOffset = 0
    /// Place of each section in the file, indexed by `Section.rawValue`.
    var sections: [Range<Int>] = []
    var tensorCount = 0
    /// Tiles of all tensors.
    var tileCount = 0
    /// XXH64 of the bytes from the end of the header to `dataOffset`.
    var metadataChecksum: UInt64 = 0
    /// XXH64 of the header's first 184 bytes. It covers all other checksums: the file's identity.
    var headerChecksum: UInt64 = 0

    subscript(section: Section) -> Range<Int> {
        sections[section.rawValue]
    }

    init() {}

    /// Reads and checks the header. Rules 1...7.
    init(parsing file: RawSpan, fileBytes actual: Int) throws(Violation) {
        guard file.byteCount >= Limits.headerBytes else {
            throw Violation(
                .fileTooShort, at: 0, found: "\(file.byteCount) bytes",
                expected: "at least \(Limits.headerBytes)")
        }
        let bytes = file.extracting(0..<Limits.headerBytes)
        var fields = FieldReader(bytes, base: 0, sizeRule: .fileTooShort)
        try Self.checkIdentity(bytes, &fields)
        fileBytes = try fields.int64(.fileSize)
        dataOffset = try fields.int64(.sectionLayout)
        for _ in Section.allCases {
            let place = fields.offset
            let start = try fields.int64(.sectionLayout)
            guard let end = sum(start, try fields.int64(.sectionLayout)) else {
                throw Violation(
                    .sectionLayout, at: place, found: start, expected: "an end inside the file")
            }
            sections.append(start..<end)
        }
        tensorCount = try fields.int32()
        tileCount = try fields.int32()
        metadataChecksum = try fields.u64()
        try fields.zeros(32, .headerReserved)
        try fields.skip(24)
        headerChecksum = try fields.u64()
        guard fileBytes == actual else {
            throw Violation(.fileSize, at: 16, found: "\(actual) bytes", expected: fileBytes)
        }
        try checkLayout()
    }

    /// Magic, version and checksum, before any other field is believed.
    private static func checkIdentity(
        _ bytes: RawSpan, _ fields: inout FieldReader
    ) throws(Violation) {
        let found = try fields.array(of: UInt8.self, count: magic.count)
        guard found == magic else {
            throw Violation(.magic, at: 0, found: hex(found), expected: hex(magic))
        }
        let readVersion = try fields.u32()
        guard readVersion == version else {
            throw Violation(.version, at: 8, found: readVersion, expected: version)
        }
        try fields.skip(4)  // write version: for people
        let sum = XXH64.hash(bytes.extracting(0..<checksumOffset))
        let stored = bytes.u64(at: checksumOffset)
        guard sum == stored else {
            throw Violation(
                .headerChecksum, at: checksumOffset, found: hex(stored), expected: hex(sum))
        }
    }

    /// Sections follow each other, each aligned, and the data follows them.
    private func checkLayout() throws(Violation) {
        var end = Limits.headerBytes
        for (index, section) in sections.enumerated() {
            guard let start = roundUp(end, to: Limits.sectionAlignment),
                section.lowerBound == start
            else {
                throw Violation(
                    .sectionLayout, at: 32 + 16 * index, found: section.lowerBound,
                    expected: "the multiple of 16 after \(end)")
            }
            end = section.upperBound
            guard end <= Limits.metadataBytes else {
                throw Violation(
                    .sectionLayout, at: 40 + 16 * index, found: "an end at \(end)",
                    expected: "at most \(Limits.metadataBytes)")
            }
        }
        guard dataOffset == roundUp(end, to: Limits.tensorAlignment), dataOffset <= fileBytes else {
            throw Violation(
                .sectionLayout, at: 24, found: dataOffset,
                expected: "the multiple of \(Limits.tensorAlignment) after \(end), in the file")
        }
        guard fileBytes <= Limits.fileBytes else {
            throw Violation(
                .sectionLayout, at: 16, found: fileBytes, expected: "at most \(Limits.fileBytes)")
        }
    }

    /// The 192 bytes, with the header's checksum computed.
    func encoded() -> [UInt8] {
        var fields = FieldWriter()
        fields.append(Self.magic)
        fields.u32(Self.version)
        fields.u32(Self.version)
        fields.int64(fileBytes)
        fields.int64(dataOffset)
        for section in sections {
            fields.int64(section.lowerBound)
            fields.int64(section.count)
        }
        fields.int32(tensorCount)
        fields.int32(tileCount)
        fields.u64(metadataChecksum)
        fields.zeros(56)
        fields.u64(XXH64.hash(fields.bytes))
        return fields.bytes
    }
}

/// `value` as 16 hexadecimal digits.
func hex(_ value: UInt64) -> String {
    let digits = String(value, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
}

/// `bytes` as hexadecimal digits.
func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: " ")
}
