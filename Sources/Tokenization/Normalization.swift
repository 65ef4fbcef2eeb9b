@_spi(_Unicode) internal import Swift

/// Unicode's canonical composition, by the standard library's own tables.
enum Normalization {
    static func nfc(_ text: String) -> String {
        // Everything below U+0300 is composed already.
        guard text.utf8.contains(where: { $0 >= 0xcc }) else { return text }
        var result = String.UnicodeScalarView()
        for scalar in text._nfc { result.append(scalar) }
        return String(result)
    }
}
