public import TesseraWeightFile

/// How a source stores a tensor's values.
public enum SourceType: String, Sendable {
    case f32, f16, bf16
    /// One sign, four exponent and three fraction bits; no infinity.
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case f8_e4m3
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q4_0, q4_1, q5_0, q5_1, q8_0
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case q2_K, q3_K, q4_K, q5_K, q6_K
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case iq4_nl, iq4_xs, iq3_xxs, iq3_s, iq2_xxs, iq2_xs, iq2_s, iq1_s, iq1_m
    // swift-format-ignore: AlwaysUseLowerCamelCase
    case mxfp4, tq1_0, tq2_0
    case synthetic
}

/// One tensor of a model to import.
public struct SourceTensor: Sendable, Equatable {
    /// Hugging Face's name.
    public let name: String
    /// 1 for a vector.
    public let rows: Int
    public let columns: Int
    public let type: SourceType

    public init(name: String, rows: Int, columns: Int, type: SourceType) {
        self.name = name
        self.rows = rows
        self.columns = columns
        self.type = type
    }
}

/// Codes of a source that is quantized already, one byte per weight, as `SourceType.codeEncoding` has them.
public struct SourceBlocks: Sendable {
    /// Scales of the source that half precision does not hold.
    public struct Rounding: Sendable {
        /// Groups of 32 columns with a rounded scale.
        public var groups = 0
        /// Squared error of their values.
        public var squaredError = 0.0
        public var squaredValue = 0.0

        static func += (sum: inout Rounding, more: Rounding) {
            sum.groups += more.groups
            sum.squaredError += more.squaredError
            sum.squaredValue += more.squaredValue
        }
    }

    /// `[rows, columns]`, none of them negative: q8_0 and such have their offset added.
    public var codes: [UInt8]
    /// `[rows, columns / 32]`, of nested encodings factors of scales, `[rows, columns / 256]`.
    public var scales: [Float16]
    /// The same of minimums, where the encoding has them, else empty.
    public var minimums: [Float16]
    /// `[rows, columns / 32, 2]` of nested encodings: scale and minimum of 32 columns (4 and 5 bits), else what belongs to
    /// the first and to the last 16: a signed scale, or with 2 bits a scale in the low nibble and a minimum in the high one.
    public var integers: [UInt8]
    public internal(set) var rounding = Rounding()

    public init(
        codes: [UInt8], scales: [Float16], minimums: [Float16], integers: [UInt8] = []
    ) {
        self.codes = codes
        self.scales = scales
        self.minimums = minimums
        self.integers = integers
    }
}

/// A model to import, read row by row, so that memory does not grow with it. Safe to read from
/// several threads.
public protocol TensorSource: Sendable {
    var config: ModelConfig { get }
    var tokenizer: TokenizerTables { get }
    var chatTemplate: String? { get }
    /// Where the model comes from, for people.
    var origin: String { get }
    /// Notes for the user about how the source was understood, one line each.
    var notes: [String] { get }
    /// A text that changes when files of the source are changed or replaced.
    var fingerprint: String { get }
    /// In execution order, a tied output head left out.
    var tensors: [SourceTensor] { get }
    /// Bytes of all tensors as the source stores them.
    var sourceBytes: Int { get }

    /// Reads rows of a tensor as floats.
    ///
    /// - Parameter output: Row-major, `rows.count * tensor.columns` values, overwritten.
    func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError)

    /// The source's own codes of rows of a tensor whose type has an encoding for codes; nil for other types.
    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks?
}

extension TensorSource {
    public var notes: [String] { [] }
    public var fingerprint: String { "" }
}

/// Opens a Hugging Face folder, a GGUF file, or a synthetic shape such as `synthetic:llama-3.1-8b`.
/// A GGUF model in parts is named by any part, or by a folder that holds nothing else.
public func openModel(at path: String) throws(ImportError) -> any TensorSource {
    if path.hasPrefix("synthetic:") {
        return try SyntheticModel(named: String(path.dropFirst("synthetic:".count)))
    }
    switch try ModelPlace(path) {
    case .folder(let folder): return try HuggingFaceModel(folder: folder)
    case .gguf(let parts): return try GGUFModel(parts: parts)
    }
}
