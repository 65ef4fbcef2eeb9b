@_spi(_Unicode) internal import Swift

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
