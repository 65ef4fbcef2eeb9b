/// Turns the bytes of a terminal into characters for a line editor.
///
/// Pasted text comes between two marks (bracketed paste). Its line ends must not end the line that is
/// edited: they become ``lineMark``, which ``text(_:)`` turns back. Its other control characters are
/// preceded by Ctrl-V, so that the editor inserts them and does nothing else.
public struct TerminalKeys {
    /// Stands for a line end within a message.
    public static let lineMark: Unicode.Scalar = "\u{240a}"
    private static let begin = Array("\u{1b}[200~".utf8)
    private static let end = Array("\u{1b}[201~".utf8)
    private static let quote: Unicode.Scalar = "\u{16}"

    private var bytes: [UInt8] = []
    private var isPasting = false
    private var endedByReturn = false

    public init() {}

    /// A message as it was meant: with line ends.
    public static func text(_ line: String) -> String {
        let scalars = line.unicodeScalars.map { $0 == lineMark ? "\n" : $0 }
        return String(String.UnicodeScalarView(scalars))
    }

    /// Takes bytes that were read.
    ///
    /// - Returns: The characters that are complete. A key or a mark that may go on is held back.
    public mutating func append(_ more: [UInt8]) -> [Unicode.Scalar] {
        bytes += more
        var keys: [Unicode.Scalar] = []
        var at = 0
        while at < bytes.count {
            let mark = isPasting ? Self.end : Self.begin
            let rest = bytes[at...]
            if rest.starts(with: mark) {
                isPasting.toggle()
                at += mark.count
            } else if rest.count < mark.count, mark.starts(with: rest) {
                break
            } else {
                guard let (scalar, length) = Self.scalar(rest) else { break }
                at += length
                append(scalar, to: &keys)
            }
        }
        bytes.removeFirst(at)
        return keys
    }

    private mutating func append(_ scalar: Unicode.Scalar, to keys: inout [Unicode.Scalar]) {
        defer { endedByReturn = scalar == "\r" }
        guard isPasting else { return keys.append(scalar) }
        switch scalar {
        case "\n" where endedByReturn: break
        case "\n", "\r": keys.append(Self.lineMark)
        case "\0": break
        case _ where scalar.value < 0x20 || scalar.value == 0x7f: keys += [Self.quote, scalar]
        default: keys.append(scalar)
        }
    }

    /// The first character and its bytes; nil if more bytes are needed, U+FFFD for a wrong byte.
    private static func scalar(_ bytes: ArraySlice<UInt8>) -> (Unicode.Scalar, Int)? {
        let first = bytes[bytes.startIndex]
        let length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
        guard length > 0, first < 0xf5 else { return ("\u{fffd}", 1) }
        let sequence = bytes.prefix(length)
        guard sequence.dropFirst().allSatisfy({ $0 & 0xc0 == 0x80 }) else { return ("\u{fffd}", 1) }
        guard sequence.count == length else { return nil }
        let text = String(decoding: sequence, as: UTF8.self).unicodeScalars
        guard text.count == 1, let scalar = text.first else { return ("\u{fffd}", 1) }
        return (scalar, length)
    }
}
