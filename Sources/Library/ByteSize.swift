package import TesseraResidency

/// A number of bytes as people write it: `2.5G`, `800M`, `3GB`, `1073741824`.
///
/// K, M, G, T and KiB, MiB... count in steps of 1024, KB, MB... in steps of 1000.
public struct ByteSize: Sendable {
    public let bytes: Int
    /// As it was given.
    public let text: String
    /// Units in which it was given.
    package let units: ByteUnits

    /// Nil where the text is not a number of bytes.
    public init?(_ text: String) {
        let upper = text.uppercased()
        let digits = upper.prefix { $0.isNumber || $0 == "." }
        guard let number = Double(digits), number.isFinite else { return nil }
        let unit = upper.dropFirst(digits.count).drop { $0 == " " }
        guard let factor = Self.factor(String(unit)) else { return nil }
        let bytes = number * factor
        guard bytes >= 1, bytes < 0x1p60 else { return nil }
        self.bytes = Int(bytes)
        self.text = text
        units = unit.count == 2 && unit.hasSuffix("B") ? .decimal : .binary
    }

    /// What the same digits more likely mean, where the number of bytes is too small to be meant: 3 GB for 3. Else nil.
    public var doubt: String? {
        guard bytes < 1 << 12, text.allSatisfy({ $0.isNumber || $0 == "." }) else { return nil }
        return "is \(bytes) bytes; write \(text)G for gigabytes or \(text)M for megabytes"
    }

    private static func factor(_ unit: String) -> Double? {
        if unit.isEmpty || unit == "B" { return 1 }
        guard let power = "KMGT".firstIndex(of: unit.prefix(1).first ?? " ") else { return nil }
        let exponent = "KMGT".distance(from: "KMGT".startIndex, to: power) + 1
        let base: Double
        switch unit.dropFirst() {
        case "", "IB": base = 1024
        case "B": base = 1000
        default: return nil
        }
        return (0..<exponent).reduce(1.0) { product, _ in product * base }
    }
}
