/// The name of one of several files that are one model, such as `model-00002-of-00003.gguf`.
struct ShardName {
    private let stem: String
    /// From 1.
    let number: Int
    let count: Int
    private let ending: String

    private static let digits = 5

    /// - Parameter name: A file's name, without its folder. The result is nil for any other name.
    init?(_ name: String) {
        guard let dot = name.lastIndex(of: ".") else { return nil }
        let parts = name[..<dot].split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count >= 4, parts[parts.count - 2] == "of",
            let number = Self.number(parts[parts.count - 3]),
            let count = Self.number(parts[parts.count - 1]), (1...count).contains(number)
        else { return nil }
        stem = parts.dropLast(3).joined(separator: "-")
        (self.number, self.count) = (number, count)
        ending = String(name[dot...])
    }

    private static func number(_ text: Substring) -> Int? {
        guard text.utf8.count == digits, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(text).flatMap { $0 > 0 ? $0 : nil }
    }

    /// Names of all files of the set, in order.
    var all: [String] {
        (1...count).map { "\(stem)-\(Self.padded($0))-of-\(Self.padded(count))\(ending)" }
    }

    private static func padded(_ number: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }
}
