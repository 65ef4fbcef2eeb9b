public import Import
public import WeightFile

/// Which encoding each tensor of a model gets, decided before anything is written.
public struct EncodingPlan: Sendable {
    /// What the user asks for.
    public struct Options: Sendable {
        /// Bits per code of the matrices.
        public enum Bits: Int, Sendable, CaseIterable {
            case four = 4
            case eight = 8
            case sixteen = 16
            case thirtyTwo = 32
        }
        public var bits = Bits.four
        /// A minimum beside each 4-bit group's scale: 5.0 bits per weight instead of 4.5.
        public var affine = false
        /// `PATTERN=ENCODING`, where * in the pattern stands for any characters; later ones win.
        public var overrides: [String] = []
        /// Starting points of the search for a 4-bit scale; 0 takes the first.
        public var candidates = 4
        public init() {}
    }

    public struct Entry: Sendable {
        public var tensor: SourceTensor
        public var encoding: TensorEncoding
        /// The source's own codes are kept, bit for bit.
        public var exact: Bool

        /// Bytes in the file.
        public var byteCount: Int {
            TensorRecord.byteCount(
                encoding: encoding, rows: tensor.rows, columns: tensor.columns)
        }
    }

    public let entries: [Entry]
    public let options: Options

    public init(
        for tensors: [SourceTensor], tiedHead: Bool, options: Options
    ) throws(QuantizationError) {
        let overrides = try options.overrides.map { text throws(QuantizationError) in
            try Override(parsing: text)
        }
        var used = Set<String>()
        var entries: [Entry] = []
        for tensor in tensors {
            var encoding = Self.encoding(of: tensor, tiedHead: tiedHead, options)
            for override in overrides where override.matches(tensor.name) {
                used.insert(override.text)
                guard tensor.rows > 1 || override.encoding == .f32 else { continue }
                encoding = override.encoding
            }
            entries.append(
                Entry(
                    tensor: tensor, encoding: encoding,
                    exact: Self.keepsCodes(tensor.type, encoding)))
        }
        for override in overrides where !used.contains(override.text) {
            throw .badOverride(override.text, reason: "no tensor of the model has such a name")
        }
        self.entries = entries
        self.options = options
    }

    /// Specifications for the writer, in order.
    public var specs: [TensorSpec] {
        entries.map {
            TensorSpec(
                name: $0.tensor.name, rows: $0.tensor.rows, columns: $0.tensor.columns,
                encoding: $0.encoding)
        }
    }

    /// Stored bits per weight over all tensors.
    public var bitsPerWeight: Double {
        let weights = entries.reduce(0) { $0 + $1.tensor.rows * $1.tensor.columns }
        return Double(entries.reduce(0) { $0 + $1.byteCount }) * 8 / Double(max(1, weights))
    }

    private static func encoding(
        of tensor: SourceTensor, tiedHead: Bool, _ options: Options
    ) -> TensorEncoding {
        guard tensor.rows > 1 else { return .f32 }
        switch options.bits {
        case .thirtyTwo: return .f32
        case .sixteen: return .f16
        case .eight: return .int8
        case .four:
            // The head decides between near-equal logits; an untied embedding is only looked up.
            let isHead =
                tensor.name == "lm_head.weight"
                || tiedHead && tensor.name == "model.embed_tokens.weight"
            if isHead { return .int8 }
            return options.affine || tensor.type == .q4_1 ? .int4Affine : .int4
        }
    }

    private static func keepsCodes(_ type: SourceType, _ encoding: TensorEncoding) -> Bool {
        switch (type, encoding) {
        case (.q4_0, .int4), (.q4_1, .int4Affine), (.q8_0, .int8): true
        default: false
        }
    }
}

/// One `PATTERN=ENCODING`.
private struct Override {
    let text: String
    let encoding: TensorEncoding
    private let pattern: [UInt8]

    init(parsing text: String) throws(QuantizationError) {
        self.text = text
        guard let equals = text.lastIndex(of: "=") else {
            throw .badOverride(text, reason: "write PATTERN=ENCODING")
        }
        let name = text[text.index(after: equals)...]
        guard let encoding = TensorEncoding.allCases.first(where: { $0.description == name })
        else {
            let known = TensorEncoding.allCases.map(\.description).joined(separator: ", ")
            throw .badOverride(text, reason: "'\(name)' is none of \(known)")
        }
        self.encoding = encoding
        pattern = Array(text[..<equals].utf8)
    }

    /// Glob matching with `*`, without recursion: on a mismatch, the last star takes one more.
    func matches(_ name: String) -> Bool {
        let name = Array(name.utf8)
        var (p, n, star, mark) = (0, 0, -1, 0)
        while n < name.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                (star, mark) = (p, n)
                p += 1
            } else if p < pattern.count, pattern[p] == name[n] {
                p += 1
                n += 1
            } else if star >= 0 {
                mark += 1
                (p, n) = (star + 1, mark)
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }
}
