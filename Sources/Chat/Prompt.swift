/// A prompt as tokens.
public struct Prompt: Equatable, Sendable {
    public var ids: [Int32]
    /// Which of them are the user's own words. Tokens before and after them come from the template.
    public var words: Range<Int>

    public init(ids: [Int32], words: Range<Int>) {
        self.ids = ids
        self.words = words
    }

    /// Drops the first of the user's words, so that `room` tokens fit after the prompt.
    ///
    /// - Returns: How many tokens were dropped; less than is needed where the form alone is too long.
    public mutating func keepLast(in context: Int, room: Int) -> Int {
        let count = min(max(0, ids.count + room - context), max(0, words.count - 1))
        ids.removeSubrange(words.lowerBound..<words.lowerBound + count)
        words = words.lowerBound..<words.upperBound - count
        return count
    }
}
