/// Everything in front of the tensors, read and checked. Formats/TSR.md §3.
struct Metadata {
    var header: Header
    var config: ModelConfig
    var source: String
    var tokenizer: TokenizerTables
    var chatTemplate: String?
    var tensors: [TensorRecord]
    /// Position in `tensors` by name.
    var index: [String: Int]

    /// Reads and checks all metadata. Rules 1...33.
    ///
    /// - Parameters:
    ///   - file: The first bytes of the file; at least the metadata, if they are valid.
    ///   - fileBytes: Size of the whole file.
    init(parsing file: RawSpan, fileBytes: Int) throws(Violation) {
        let header = try Header(parsing: file, fileBytes: fileBytes)
        guard header.dataOffset <= file.byteCount else {
            throw Violation(
                .fileSize, at: 24, found: "\(file.byteCount) bytes", expected: header.dataOffset)
        }
        try Self.checkIntegrity(file, header)
        let place = header[.config]
        (config, source) = try ConfigRecord.parse(file.extracting(place), base: place.lowerBound)
        let words = header[.tokenizer]
        tokenizer = try TokenizerSection.parse(
            file.extracting(words), base: words.lowerBound, vocabularySize: config.vocabularySize)
        let text = header[.template]
        var fields = FieldReader(
            file.extracting(text), base: text.lowerBound, sizeRule: .templateText)
        chatTemplate =
            text.isEmpty ? nil : try fields.text(byteCount: text.count, .templateText)
        let records = header[.directory]
        tensors = try TensorDirectory.parse(
            file.extracting(records), base: records.lowerBound, header: header)
        index = try Self.index(tensors, directory: records)
        let tiles = header[.tileTable]
        try TensorDirectory.checkTiles(
            file.extracting(tiles), base: tiles.lowerBound, header: header, tensors: tensors)
        try checkTensorSet(tensors, index: index, config: config, directory: records)
        self.header = header
    }

    /// The metadata's checksum, and zeros between its sections.
    private static func checkIntegrity(_ file: RawSpan, _ header: Header) throws(Violation) {
        let sum = XXH64.hash(file.extracting(Limits.headerBytes..<header.dataOffset))
        guard sum == header.metadataChecksum else {
            throw Violation(
                .metadataChecksum, at: 120, found: hex(header.metadataChecksum), expected: hex(sum))
        }
        var end = Limits.headerBytes
        for section in header.sections + [header.dataOffset..<header.dataOffset] {
            if let place = file.firstNonZero(in: end..<section.lowerBound) {
                throw Violation(
                    .metadataPadding, at: place, found: file.u8(at: place), expected: 0)
            }
            end = section.upperBound
        }
    }

    private static func index(
        _ tensors: [TensorRecord], directory: Range<Int>
    ) throws(Violation) -> [String: Int] {
        var index = [String: Int](minimumCapacity: tensors.count)
        for (position, tensor) in tensors.enumerated() {
            guard index.updateValue(position, forKey: tensor.name) == nil else {
                throw Violation(
                    .tensorName, at: directory.lowerBound + position * TensorDirectory.recordBytes,
                    tensor: tensor.name, found: "a second tensor of this name", expected: "one")
            }
        }
        return index
    }
}
