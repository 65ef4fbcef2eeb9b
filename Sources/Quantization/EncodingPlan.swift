public import TesseraImport
internal import TesseraKernels
public import TesseraWeightFile

/// Which encoding each tensor of a model gets, decided before anything is written.
public struct EncodingPlan: Sendable {
    /// What the user asks for.
    public struct Options: Sendable {
        /// Bits per code of all matrices. With four, those of the head are six.
        public enum Bits: Int, Sendable, CaseIterable {
            case four = 4
            case eight = 8
            case sixteen = 16
            case thirtyTwo = 32
        }
        /// A target whose bytes are shared out over the matrices, after the gain of each matrix is measured.
        public enum Target: Sendable, Equatable {
            /// Plain codes of 3 to 6 bits in the mean. What the source has in as few bits is kept.
            case codes(bits: Int)
            /// Stored bits per weight of all tensors together.
            case bitsPerWeight(Double)
            /// Size of the whole file.
            case fileBytes(Int)
            /// Divergence from the source, as far as calibration tells it: mean KL of the next token, in nats.
            case divergence(Double)

            /// A target a little below this one, and one a little above it.
            var neighbours: [Target] {
                switch self {
                case .codes(let bits):
                    [bits - 1, bits + 1].filter { (4...6).contains($0) }.map { .codes(bits: $0) }
                case .bitsPerWeight(let bits):
                    [.bitsPerWeight(0.85 * bits), .bitsPerWeight(1.18 * bits)]
                case .fileBytes(let bytes):
                    [.fileBytes(bytes * 17 / 20), .fileBytes(bytes * 20 / 17)]
                case .divergence(let most): [.divergence(2 * most), .divergence(most / 2)]
                }
            }
        }
        /// nil: quantized matrices keep their codes; floats get 8 bits, and random weights 4.
        public var bits: Bits?
        /// Instead of `bits`.
        public var target: Target?
        /// `PATTERN=ENCODING` or `PATTERN=BITS`, where * in the pattern stands for any characters; later
        /// ones win.
        public var overrides: [String] = []
        /// Starting points of the search for a scale; 0 takes the first.
        public var candidates = 4
        /// Calibration for the matrices that share the target.
        public var calibration: Calibration?
        /// Storage classes that the planner may choose.
        public var storages = [StorageClass.zstd]
        /// How fast passes are; without it the planner chooses by loss alone.
        public var pace: PassPace?
        public init() {}
    }

    /// A plan that was made, whether it was chosen or not.
    public struct Alternative: Sendable {
        public let storage: StorageClass
        /// Size of the file; an estimate for coded files.
        public let fileBytes: Int
        public let bitsPerWeight: Double
        /// Expected mean KL of the next token from the source's, in nats; nil without calibration.
        public let divergence: Double?
        /// Tokens per second of passes over one position, at most; nil if the pace is not known.
        public let tokensPerSecond: Double?
        public internal(set) var isChosen = false
    }

    public struct Entry: Sendable {
        public var tensor: SourceTensor
        public var encoding: TensorEncoding
        /// The source's own codes are kept, bit for bit.
        public var exact: Bool
        /// The distances of codes in an entropy-coded tensor; nil elsewhere.
        public var steps: UniformSteps?
        /// How it is coded by a trellis; nil if it is not.
        public var trellis: TrellisMix?
        /// Bytes in the file; expected bytes for a coded tensor.
        public var byteCount: Int
        /// Expected root of the squared error over the squared values; nil if it was not measured.
        public var relativeError: Double?

        public var storage = StorageClass.plain

        /// Every value is the source's.
        public var keepsValues: Bool {
            if exact { return !tensor.type.roundsScales }
            return switch (tensor.type, encoding) {
            case (_, .f32), (.f16, .f16): true
            default: false
            }
        }
    }

    /// Bits per weight that can be asked for.
    public static let rates = 1.0...9.0

    public internal(set) var entries: [Entry]
    /// Plans that were possible, this plan included; empty where nothing was measured.
    public internal(set) var alternatives: [Alternative] = []
    public let options: Options

    /// A plan of plain tensors.
    public init(
        for tensors: [SourceTensor], tiedHead: Bool, options: Options
    ) throws(QuantizationError) {
        entries = try Self.requests(for: tensors, tiedHead: tiedHead, options).map {
            request throws(QuantizationError) in
            guard case .encoding(let encoding) = request.how else {
                throw .badOverride(request.tensor.name, reason: "a rate needs measuring")
            }
            return Self.plain(request.tensor, encoding)
        }
        self.options = options
    }

    init(entries: [Entry], options: Options) {
        self.entries = entries
        self.options = options
    }

    static func plain(_ tensor: SourceTensor, _ encoding: TensorEncoding) -> Entry {
        Entry(
            tensor: tensor, encoding: encoding, exact: tensor.type.codeEncoding == encoding,
            byteCount: TensorRecord.byteCount(
                encoding: encoding, rows: tensor.rows, columns: tensor.columns))
    }

    /// Specifications for the writer, in order.
    public var specs: [TensorSpec] {
        entries.map {
            TensorSpec(
                name: $0.tensor.name, rows: $0.tensor.rows, columns: $0.tensor.columns,
                encoding: $0.encoding, storage: $0.storage)
        }
    }

    /// How the matrices that share the target are stored.
    public var storage: StorageClass {
        entries.lazy.map(\.storage).first { $0 != .plain } ?? .plain
    }

    /// Whether sizes are expected rather than known.
    public var isCoded: Bool { entries.contains { $0.storage != .plain } }

    /// Stored bits per weight over all tensors.
    public var bitsPerWeight: Double {
        let weights = entries.reduce(0) { $0 + $1.tensor.rows * $1.tensor.columns }
        return Double(entries.reduce(0) { $0 + $1.byteCount }) * 8 / Double(max(1, weights))
    }

    /// The wish for a tensor.
    struct Request {
        enum How {
            case encoding(TensorEncoding)
            /// Coded with a number of bits per weight.
            case rate(Double)
            /// Coded with a share of the target.
            case share
        }
        var tensor: SourceTensor
        var how: How
    }

    /// Whether some tensors are measured before their encodings are chosen.
    public static func measures(
        _ source: any TensorSource, _ options: Options
    ) throws(QuantizationError) -> Bool {
        try requests(
            for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options
        ).contains {
            if case .encoding = $0.how { false } else { true }
        }
    }

    static func requests(
        for tensors: [SourceTensor], tiedHead: Bool, _ options: Options
    ) throws(QuantizationError) -> [Request] {
        let patterns = try options.overrides.map { text throws(QuantizationError) in
            try TensorPattern(parsing: text)
        }
        var isMade = false
        if case .codes(let bits) = options.target {
            isMade = Self.isMade(of: bits, tensors, tiedHead: tiedHead)
        }
        var used = Set<String>()
        let requests = tensors.map { tensor in
            var request = Request(
                tensor: tensor, how: usual(for: tensor, tiedHead: tiedHead, isMade: isMade, options)
            )
            for pattern in patterns where pattern.matches(tensor.name) {
                used.insert(pattern.text)
                switch pattern.request {
                case .encoding(let encoding):
                    guard tensor.rows > 1 || encoding == .f32 else { continue }
                    request.how = .encoding(encoding)
                case .rate(let bits):
                    guard tensor.rows > 1 else { continue }
                    request.how = .rate(bits)
                }
            }
            return request
        }
        for pattern in patterns where !used.contains(pattern.text) {
            throw .badOverride(pattern.text, reason: "no tensor of the model has such a name")
        }
        return requests
    }

    /// Whether logits are its products. An untied embedding is only looked up.
    private static func isHead(_ tensor: SourceTensor, tied: Bool) -> Bool {
        let role = TensorRole(matrix: tensor.name)
        return role == .head || tied && role == .embedding
    }

    /// Whether a source has codes of so few bits everywhere except in the head, which gets more in most quantized files.
    private static func isMade(of bits: Int, _ tensors: [SourceTensor], tiedHead: Bool) -> Bool {
        tensors.allSatisfy { tensor in
            guard tensor.rows > 1 else { return true }
            guard let found = tensor.type.codeEncoding else { return false }
            return found.codeBits <= bits || isHead(tensor, tied: tiedHead)
        }
    }

    private static func usual(
        for tensor: SourceTensor, tiedHead: Bool, isMade: Bool, _ options: Options
    ) -> Request.How {
        guard tensor.rows > 1 else { return .encoding(.f32) }
        let found = tensor.type.codeEncoding
        if let target = options.target {
            guard case .codes(let bits) = target, let found, isMade || found.codeBits <= bits
            else { return .share }
            return .encoding(found)
        }
        // The head decides between near-equal logits.
        let isHead = isHead(tensor, tied: tiedHead)
        let rounded: TensorEncoding = isHead ? .int6Nested : .int4Nested
        switch options.bits {
        case nil: return .encoding(found ?? (tensor.type == .synthetic ? rounded : .int8))
        case .thirtyTwo: return .encoding(.f32)
        case .sixteen: return .encoding(.f16)
        case .eight: return .encoding(.int8)
        case .four:
            // Fewer bits than are asked for are never more after a second rounding.
            if let found, found.codeBits <= rounded.codeBits { return .encoding(found) }
            return .encoding(rounded)
        }
    }
}
