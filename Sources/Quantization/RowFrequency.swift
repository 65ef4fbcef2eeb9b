public import TesseraImport
public import TesseraWeightFile

/// How often rows of a matrix matter, compared with the mean. The rows of an embedding or a head are tokens, and some
/// tokens are frequent. The rows of every other matrix matter equally.
///
/// A tokenizer that merges pairs numbers tokens in the order in which it made them, the frequent ones first, so that frequency
/// falls about as one over the number (Zipf). Errors of rare tokens are met less, but not forgotten: the last token
/// still counts a seventeenth of the first.
public struct RowFrequency: Sendable, Equatable {
    /// Rows that are tokens; nil: all rows are alike.
    private let vocabulary: Double?

    static let even = RowFrequency(vocabulary: nil)

    private init(vocabulary: Double?) { self.vocabulary = vocabulary }

    public init(_ tensor: SourceTensor, _ config: ModelConfig) {
        vocabulary = tensor.rows == config.vocabularySize ? Double(tensor.rows) : nil
    }

    /// Frequency of one row; the mean over all rows is 1.
    public func callAsFunction(_ row: Int) -> Double {
        guard let vocabulary else { return 1 }
        // The integral of 1 / (row + v / 16) over all rows is ln 17.
        return vocabulary / (2.833_213 * (Double(row) + vocabulary / 16))
    }
}
