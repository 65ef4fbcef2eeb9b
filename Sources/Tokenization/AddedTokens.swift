internal import TesseraWeightFile

/// Finds added and special tokens in a text, as Hugging Face's `tokenizers` does: the longest of those that
/// begin at the leftmost place, with the white space that it takes.
struct AddedTokens: Sendable {
    private struct Pattern: Sendable {
        var id: Int
        var bytes: [UInt8]
        var flags: TokenizerTables.AddedTokenFlags
    }

    /// A part of a text, as a range of its bytes or as the token that stands for it.
    enum Piece: Equatable {
        case text(Range<Int>)
        case token(Int)
    }

    /// By first byte, longest first.
    private let patterns: [[Pattern]]
    let isEmpty: Bool
    /// Whether spaces stand for SentencePiece's sign, which does not count as white space.
    private let keepsSpaces: Bool

    /// - Parameter normalized: Take the tokens that are matched in the normalized text; else the others.
    init(_ tables: TokenizerTables, normalized: Bool) {
        var patterns = [[Pattern]](repeating: [], count: 256)
        for (id, kind) in tables.kinds.enumerated() where kind == .added || kind == .special {
            let flags = tables.addedFlags[id] ?? []
            guard flags.contains(.normalized) == normalized else { continue }
            var bytes = Array(tables.tokens[id])
            if normalized {
                bytes = Array(tables.normalized(String(decoding: bytes, as: UTF8.self)).utf8)
            }
            guard let first = bytes.first else { continue }
            patterns[Int(first)].append(Pattern(id: id, bytes: bytes, flags: flags))
        }
        self.patterns = patterns.map { $0.sorted { $0.bytes.count > $1.bytes.count } }
        isEmpty = patterns.allSatisfy(\.isEmpty)
        keepsSpaces =
            normalized && tables.preTokenizer == .sentencePiece
            && [.none, .section].contains(tables.spacePrefix)
    }

    /// The parts of a text in order.
    func pieces(of bytes: [UInt8]) -> [Piece] {
        guard !isEmpty else { return bytes.isEmpty ? [] : [.text(0..<bytes.count)] }
        var pieces: [Piece] = []
        var done = 0
        var at = 0
        while at < bytes.count {
            guard let pattern = pattern(in: bytes, at: at) else {
                at += 1
                continue
            }
            let found = at..<at + pattern.bytes.count
            at = found.upperBound
            if pattern.flags.contains(.singleWord), Self.touchesWord(found, in: bytes) { continue }
            let range = widened(found, pattern.flags, from: done, in: bytes)
            if done < range.lowerBound { pieces.append(.text(done..<range.lowerBound)) }
            // Nothing is left of white space that another token has taken.
            if !range.isEmpty { pieces.append(.token(pattern.id)) }
            done = range.upperBound
        }
        if done < bytes.count { pieces.append(.text(done..<bytes.count)) }
        return pieces
    }

    private func pattern(in bytes: [UInt8], at: Int) -> Pattern? {
        patterns[Int(bytes[at])].first { bytes[at...].starts(with: $0.bytes) }
    }

    /// The range with the white space that the token takes, as far as no token before took it.
    private func widened(
        _ range: Range<Int>, _ flags: TokenizerTables.AddedTokenFlags, from done: Int,
        in bytes: [UInt8]
    ) -> Range<Int> {
        var (begin, end) = (range.lowerBound, range.upperBound)
        if flags.contains(.stripsLeft) {
            while let scalar = Self.scalar(before: begin, in: bytes), isBlank(scalar) {
                begin -= scalar.utf8.count
            }
            begin = max(begin, done)
        }
        if flags.contains(.stripsRight) {
            while let scalar = Self.scalar(at: end, in: bytes), isBlank(scalar) {
                end += scalar.utf8.count
            }
        }
        return min(begin, end)..<end
    }

    private func isBlank(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace && !(keepsSpaces && scalar == " ")
    }

    private static func touchesWord(_ range: Range<Int>, in bytes: [UInt8]) -> Bool {
        [scalar(before: range.lowerBound, in: bytes), scalar(at: range.upperBound, in: bytes)]
            .contains { $0.map(isWord) == true }
    }

    /// `\w` of Unicode's regular expressions.
    private static func isWord(_ scalar: Unicode.Scalar) -> Bool {
        let properties = scalar.properties
        switch properties.generalCategory {
        case .nonspacingMark, .spacingMark, .enclosingMark, .decimalNumber, .connectorPunctuation:
            return true
        default: return properties.isAlphabetic || properties.isJoinControl
        }
    }

    private static func scalar(at: Int, in bytes: [UInt8]) -> Unicode.Scalar? {
        guard at < bytes.count else { return nil }
        return String(decoding: bytes[at..<min(at + 4, bytes.count)], as: UTF8.self)
            .unicodeScalars.first
    }

    private static func scalar(before at: Int, in bytes: [UInt8]) -> Unicode.Scalar? {
        guard at > 0 else { return nil }
        var begin = at - 1
        while begin > 0, at - begin < 4, bytes[begin] & 0xc0 == 0x80 { begin -= 1 }
        return String(decoding: bytes[begin..<at], as: UTF8.self).unicodeScalars.last
    }
}
