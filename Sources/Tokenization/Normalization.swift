@_spi(_Unicode) internal import Swift
internal import TesseraWeightFile

extension TokenizerTables {
    /// A section of a text before it is cut.
    ///
    /// - Parameter isBegun: It goes on with a text and not after a token.
    func normalized(_ text: String, isBegun: Bool = false) -> String {
        var text = normalizesNFC ? Normalization.nfc(text) : text
        guard preTokenizer == .sentencePiece, !text.isEmpty else { return text }
        if text.utf8.contains(0xe2) {
            text = String(decoding: Self.unmarked(text.utf8), as: UTF8.self)
        }
        return spacePrefix == .section && !isBegun ? " " + text : text
    }

    /// Whether the token is one character from which merging may begin. Tokens of the vocabulary that are added
    /// tokens too are such.
    func isCharacter(_ id: Int) -> Bool {
        guard kinds[id] == .normal || kinds[id] == .added, let first = tokens[id].first else {
            return false
        }
        let width = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
        return first & 0xc0 != 0x80 && tokens[id].count == width
    }
}

/// Canonical composition (NFC), as Hugging Face's `tokenizers` does it.
///
/// Its tables are those of Unicode 9: a scalar assigned later neither decomposes nor moves, and
/// nothing moves across it. The standard library's newer tables are therefore asked only about the
/// runs between such scalars.
enum Normalization {
    static func nfc(_ text: String) -> String {
        // Everything below U+0300 is composed already.
        guard text.utf8.contains(where: { $0 >= 0xcc }) else { return text }
        var result = String.UnicodeScalarView()
        var run = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            if scalar.value >= 0x300, isNewerThanUnicode9(scalar) {
                append(run, to: &result)
                run = String.UnicodeScalarView()
                result.append(scalar)
            } else {
                run.append(scalar)
            }
        }
        append(run, to: &result)
        return String(result)
    }

    private static func append(
        _ run: String.UnicodeScalarView, to result: inout String.UnicodeScalarView
    ) {
        for scalar in String(run)._nfc { result.append(scalar) }
    }

    private static func isNewerThanUnicode9(_ scalar: Unicode.Scalar) -> Bool {
        guard let age = scalar.properties.age else { return true }
        return age.major > 9
    }
}
