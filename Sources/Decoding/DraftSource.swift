/// Where the drafts of ``VerifiedDecoder`` come from, unless masks make them.
///
/// Whatever a source offers, the text is that of single tokens: a draft token is kept where next-token
/// prediction draws it too. A source that draws should use the sampler's own noise, or else few of its
/// tokens are right at temperatures above zero.
public protocol DraftSource: AnyObject {
    /// As users call it.
    var name: String { get }

    /// Guesses what follows a text.
    ///
    /// - Parameters:
    ///   - text: Every token given or decided, oldest first.
    ///   - unchanged: So many of its first tokens are those of the text of the call before.
    ///   - most: Tokens that are of use; further ones are cut off.
    ///   - draft: Empty; gets the tokens, each with its chance. Left empty where there is no guess.
    /// - Throws: Where the source itself cannot go on.
    func draft(
        behind text: [Int32], unchanged: Int, most: Int, into draft: inout Draft
    ) throws(DecodingError)
}
