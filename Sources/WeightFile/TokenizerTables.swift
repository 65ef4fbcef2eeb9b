/// A tokenizer of byte-pair encoding as data, independent of where it came from. Formats/TSR.md §6.
public struct TokenizerTables: Equatable, Sendable {
    /// How text is cut before merging.
    public enum PreTokenizer: UInt32, Sendable, CaseIterable {
        /// GPT-2's pattern.
        case gpt2 = 1
        /// Every digit alone, then GPT-2's pattern (SmolLM2).
        case digitsGPT2 = 2
        /// Llama 3's pattern: digits in runs of at most three.
        case llama3 = 3
        /// Qwen 2 and 3's pattern: digits alone.
        case qwen2 = 4
        /// `pattern` holds a regular expression that the scanners do not know.
        case regex = 5
        /// SentencePiece: text is not cut, and merging begins with characters. One without a token becomes the
        /// tokens of its bytes. U+2581 counts as a space.
        case sentencePiece = 6
    }

    /// Where SentencePiece puts a space into the text. The numbers are those of the file.
    public enum SpacePrefix: UInt32, Sendable, CaseIterable {
        /// Nowhere.
        case none = 0
        /// In front of the text, and after each token that was matched in the text before it was normalized.
        case section = 1
        /// In front of the text, unless a space or an added token is there.
        case text = 2
        /// In front of the text and after each added token, unless a space is there.
        case piece = 3
    }

    public enum TokenKind: UInt8, Sendable {
        /// Reached by merging bytes.
        case normal = 0
        /// Matched in the raw text before anything else, and printed (`special: false`).
        case added = 1
        /// Matched in the raw text, never printed as text (`special: true`).
        case special = 2
        /// Padding of the vocabulary: never produced, never sampled.
        case unused = 3
        /// One byte of a character that has no token (SentencePiece).
        case byte = 4
    }

    /// How an added or special token is matched in a text, as in Hugging Face's `tokenizers`. The numbers
    /// are those of the file.
    public struct AddedTokenFlags: OptionSet, Hashable, Sendable {
        public var rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }
        /// Takes the white space in front of it with it (`lstrip`).
        public static let stripsLeft = AddedTokenFlags(rawValue: 4)
        /// Takes the white space after it with it (`rstrip`).
        public static let stripsRight = AddedTokenFlags(rawValue: 8)
        /// Matches only where no letter, digit or underscore touches it (`single_word`).
        public static let singleWord = AddedTokenFlags(rawValue: 16)
        /// Is matched in the normalized text, after the tokens without this flag (`normalized`).
        public static let normalized = AddedTokenFlags(rawValue: 32)
    }

    /// One merge: `left` followed by `right` becomes `result`. Rank is the position in `merges`, or where
    /// `sharesRank` is set the rank of the merge before.
    public struct Merge: Equatable, Sendable, BitwiseCopyable {
        /// The highest bit is `sharesRank`.
        private(set) var markedLeft: UInt32
        public var right: UInt32
        public var result: UInt32

        private static let mark: UInt32 = 1 << 31

        public init(left: UInt32, right: UInt32, result: UInt32, sharesRank: Bool = false) {
            precondition(left < Self.mark, "token \(left)")
            markedLeft = sharesRank ? left | Self.mark : left
            self.right = right
            self.result = result
        }

        public var left: UInt32 { markedLeft & ~Self.mark }
        public var sharesRank: Bool { markedLeft & Self.mark != 0 }
    }

    /// Bytes of each token; the index is the id. Added and special tokens hold their text in UTF-8.
    public var tokens = TokenList()
    /// Kind of each token, parallel to `tokens`.
    public var kinds: [TokenKind] = []
    /// By id, of those added and special tokens that are not matched simply as they are spelled.
    public var addedFlags: [Int: AddedTokenFlags] = [:]
    /// Merges, lowest rank (first applied) first.
    public var merges: [Merge] = []
    public var preTokenizer = PreTokenizer.gpt2
    /// Only for `.regex`: the pattern as in tokenizer.json.
    public var pattern = ""
    /// Emit a pre-token that is itself in the vocabulary without merging (Llama 3).
    public var ignoreMerges = false
    /// Unicode NFC before pre-tokenizing (Qwen).
    public var normalizesNFC = false
    /// Only for `.sentencePiece`.
    public var spacePrefix = SpacePrefix.none
    /// Put `bosToken` in front of a plain prompt.
    public var addsBOS = false
    public var bosToken: Int?
    /// Whether `bosToken` is the `bos_token` of chat templates too.
    public var namesBOS = true
    public var padToken: Int?
    public var unknownToken: Int?
    /// Any of these ends generation.
    public var eosTokens: [Int] = []
    /// Whether the first of `eosTokens` is the `eos_token` of chat templates.
    public var namesEOS = true

    public init() {}

    /// Tables from plain arrays; `kinds` empty means that every token is `.normal`.
    public init(tokens: [[UInt8]], kinds: [TokenKind] = [], merges: [Merge] = []) {
        self.tokens = TokenList(tokens)
        self.kinds =
            kinds.isEmpty ? Array(repeating: .normal, count: tokens.count) : kinds
        self.merges = merges
    }
}

extension TokenizerTables {
    /// U+2581, with which SentencePiece spells a space.
    private static let spaceMark: [UInt8] = [0xe2, 0x96, 0x81]

    /// The text with spaces where SentencePiece's sign for them is.
    public static func unmarked(_ text: some Collection<UInt8>) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(text.count)
        for byte in text {
            result.append(byte)
            if byte == spaceMark[2], result.suffix(3).elementsEqual(spaceMark) {
                result.removeLast(3)
                result.append(0x20)
            }
        }
        return result
    }
}
