internal import ArgumentParser
internal import Residency

/// A number of bytes on the command line: `2.5G`, `800M`, `3GB`, `1073741824`.
///
/// K, M, G, T and KiB, MiB... count in steps of 1024, KB, MB... in steps of 1000.
struct ByteSize: ExpressibleByArgument {
    let bytes: Int
    /// As it was given.
    let text: String
    /// Those in which it was given.
    let units: ByteUnits

    init?(argument: String) {
        let upper = argument.uppercased()
        let digits = upper.prefix { $0.isNumber || $0 == "." }
        guard let number = Double(digits), number.isFinite else { return nil }
        let unit = upper.dropFirst(digits.count).drop { $0 == " " }
        guard let factor = Self.factor(String(unit)) else { return nil }
        let bytes = number * factor
        guard bytes >= 1, bytes < 0x1p60 else { return nil }
        self.bytes = Int(bytes)
        self.text = argument
        units = unit.count == 2 && unit.hasSuffix("B") ? .decimal : .binary
    }

    /// Refuses what was surely meant in another unit, such as 3 for 3 GB.
    func check(_ option: String) throws {
        guard bytes < 1 << 12, text.allSatisfy({ $0.isNumber || $0 == "." }) else { return }
        throw ValidationError(
            "\(option) \(text) is \(bytes) bytes; write \(text)G for gigabytes or \(text)M for megabytes"
        )
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
