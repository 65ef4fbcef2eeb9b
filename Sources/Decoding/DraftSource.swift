/// Where the drafts of ``VerifiedDecoder`` come from, unless masks make them.
///
/// Whatever a source offers, the text is that of single tokens: a draft token is kept where next-token
/// prediction draws it too.
public protocol DraftSource: AnyObject {
    /// The name that users see.
    var name: String { get }

    /// Guesses what follows a text.
    ///
    /// - Parameter draft: An empty draft, which receives the tokens, each with its chance. It stays empty where there is
    ///   no guess.
    /// - Throws: Where the source itself cannot go on.
    func draft(_ request: DraftRequest, into draft: inout Draft) throws(DecodingError)
}

/// A source whose drafts take time.
public protocol CostlySource: DraftSource {
    /// Tokens that a draft has been expected to give lately, less those that its time is worth; nil before
    /// the first.
    var gain: Double? { get }
    /// Follows the text without a draft.
    func skip(_ request: DraftRequest)
}

/// What a draft is to follow.
public struct DraftRequest {
    /// Every token given or decided, oldest first.
    public var text: [Int32]
    /// How many of its first tokens are those of the previous request's text.
    public var unchanged: Int
    /// Tokens that are of use; further ones are cut off.
    public var most: Int
    /// The sampler of the text. A source that draws must use it with the positions of the text: otherwise few of its
    /// tokens are right at temperatures above zero.
    public var sampler: Sampler
    /// Recent tokens per second of all texts that share passes; 0 where nothing is known.
    public var rate: Double

    public init(
        text: [Int32], unchanged: Int, most: Int, sampler: Sampler, rate: Double = 0
    ) {
        self.text = text
        self.unchanged = unchanged
        self.most = most
        self.sampler = sampler
        self.rate = rate
    }
}
