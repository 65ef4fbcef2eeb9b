extension Input {
    /// The bytes as text. Bytes that are not UTF-8 become U+FFFD, with a note.
    ///
    /// - Parameter name: What the note calls the input.
    static func text(_ bytes: [UInt8], name: String) -> String {
        let text = String(decoding: bytes, as: UTF8.self)
        guard !text.utf8.elementsEqual(bytes) else { return text }
        let offset = zip(text.utf8, bytes).prefix { $0 == $1 }.count
        Terminal.note("note: \(name): byte \(offset) is not UTF-8; such bytes become U+FFFD")
        return text
    }

    /// All of a file, or of standard input for `-`, as text.
    static func text(pathOrInput: String) throws -> String {
        text(
            try all(pathOrInput: pathOrInput),
            name: pathOrInput == "-" ? "standard input" : pathOrInput)
    }
}
