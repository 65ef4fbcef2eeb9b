/// Units in which options take numbers of bytes.
public enum ByteUnits: Sendable, Equatable {
    /// K, M and G count in steps of 1024,
    case binary
    /// KB, MB and GB in steps of 1000.
    case decimal

    /// E.g. `82.3M` or `1.25GB`, to three digits.
    ///
    /// - Parameter isLeast: Whether the text must not name fewer bytes, so that it is rounded up.
    public func text(_ bytes: Int, isLeast: Bool = false) -> String {
        let (step, names) =
            self == .binary ? (1024.0, ["K", "M", "G"]) : (1000.0, ["KB", "MB", "GB"])
        guard Double(bytes) >= step else { return bytes == 1 ? "1 byte" : "\(bytes) bytes" }
        var (value, unit) = (Double(bytes) / step, 0)
        while value >= step, unit < names.count - 1 { (value, unit) = (value / step, unit + 1) }
        let digits = value < 10 ? 2 : value < 100 ? 1 : 0
        let scale = [1.0, 10, 100][digits]
        let scaled = Int((value * scale).rounded(isLeast ? .up : .toNearestOrEven))
        return Self.decimal(scaled, digits) + names[unit]
    }

    /// A whole number of tenths or hundredths, without zeros at the end.
    private static func decimal(_ scaled: Int, _ digits: Int) -> String {
        var (scaled, digits) = (scaled, digits)
        while digits > 0, scaled % 10 == 0 { (scaled, digits) = (scaled / 10, digits - 1) }
        let scale = [1, 10, 100][digits]
        let rest = String(scaled % scale)
        return digits == 0
            ? "\(scaled)"
            : "\(scaled / scale)." + String(repeating: "0", count: digits - rest.count) + rest
    }
}
