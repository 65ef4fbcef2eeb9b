/// The numbered checks of a reader, Formats/TSR.md §12. Errors, golden-error files and the second
/// reader name them alike; a number is never given to another rule.
public enum ValidationRule: Int, Sendable, CaseIterable {
    case fileTooShort = 1
    case magic = 2
    case version = 3
    case headerChecksum = 4
    case headerReserved = 5
    case fileSize = 6
    case sectionLayout = 7
    case metadataChecksum = 8
    case metadataPadding = 9
    case configSize = 10
    case configReserved = 11
    case configText = 12
    case configShape = 13
    case configNumbers = 14
    case blockDecoding = 15
    case tokenizerSize = 16
    case tokenizerReserved = 17
    case tokenOffsets = 18
    case tokenKinds = 19
    case merges = 20
    case tokenIDs = 21
    case tokenizerText = 22
    case templateText = 23
    case directorySize = 24
    case tensorName = 25
    case tensorShape = 26
    case tensorEncoding = 27
    case tensorStorage = 28
    case tensorTiling = 29
    case tensorPlacement = 30
    case tileTable = 31
    case fileEnd = 32
    case tensorSet = 33
    case tileChecksum = 34
    case dataPadding = 35
    case values = 36
    case tileCoding = 37
    case layers = 38
    case drafter = 39

    /// What the rule demands, in a few words.
    public var summary: String {
        switch self {
        case .fileTooShort: "file shorter than its header"
        case .magic: "not a Tessera weight file"
        case .version: "format version this program cannot read"
        case .headerChecksum: "header checksum"
        case .headerReserved: "reserved header bytes are not zero"
        case .fileSize: "file size differs from the header's"
        case .sectionLayout: "metadata sections out of place"
        case .metadataChecksum: "metadata checksum"
        case .metadataPadding: "padding of the metadata is not zero"
        case .configSize: "size of the model configuration"
        case .configReserved: "unknown flag or reserved field in the model configuration"
        case .configText: "text in the model configuration"
        case .configShape: "sizes in the model configuration"
        case .configNumbers: "numbers in the model configuration"
        case .blockDecoding: "block decoding settings"
        case .tokenizerSize: "size of the tokenizer"
        case .tokenizerReserved: "unknown flag or kind of tokenizer"
        case .tokenOffsets: "token offsets"
        case .tokenKinds: "unknown token kind"
        case .merges: "merge that does not fit the vocabulary"
        case .tokenIDs: "token id outside the vocabulary"
        case .tokenizerText: "pattern of the tokenizer"
        case .templateText: "chat template is not UTF-8"
        case .directorySize: "size of the tensor directory"
        case .tensorName: "name of a tensor"
        case .tensorShape: "shape of a tensor"
        case .tensorEncoding: "unknown tensor encoding"
        case .tensorStorage: "unknown storage class"
        case .tensorTiling: "tiles of a tensor"
        case .tensorPlacement: "place or size of a tensor"
        case .tileTable: "entry of the tile table"
        case .fileEnd: "file does not end with its last tensor"
        case .tensorSet: "tensor that the configuration demands or forbids"
        case .tileChecksum: "tile checksum"
        case .dataPadding: "padding between tensors is not zero"
        case .values: "value that is not a finite number"
        case .tileCoding: "coded tile that does not decode"
        case .layers: "layers in the model configuration"
        case .drafter: "drafter in the model configuration"
        }
    }
}

extension String {
    /// The text with control characters replaced: what a file says must not steer a terminal.
    package var printable: String {
        let isControl = { (scalar: Unicode.Scalar) in
            scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value)
        }
        guard unicodeScalars.contains(where: isControl) else { return self }
        return String(UnicodeScalarView(unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
    }
}

/// One broken rule: where it was seen and what was found there.
public struct Violation: Error, Equatable, Sendable {
    public var rule: ValidationRule
    /// Bytes from the start of the file to the field or data at fault.
    public var offset: Int
    /// The tensor at fault, where there is one.
    public var tensor: String?
    /// What the file holds, e.g. `4096`.
    public var found: String
    /// What the rule allows, e.g. `1...1048576`.
    public var expected: String

    init(
        _ rule: ValidationRule, at offset: Int, tensor: String? = nil,
        found: some CustomStringConvertible, expected: some CustomStringConvertible
    ) {
        self.rule = rule
        self.offset = offset
        self.tensor = tensor
        self.found = found.description
        self.expected = expected.description
    }
}
