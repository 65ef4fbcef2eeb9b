/// Numbers for people.
public enum Format {
    /// E.g. `4.21 GB`, powers of ten.
    public static func bytes(_ count: Int) -> String {
        let units = ["B", "kB", "MB", "GB", "TB"]
        var (value, unit) = (Double(count), 0)
        while value >= 999.5, unit < units.count - 1 { (value, unit) = (value / 1000, unit + 1) }
        return unit == 0
            ? "\(count) B" : "\(fixed(value, value < 10 ? 2 : value < 100 ? 1 : 0)) \(units[unit])"
    }

    /// About two digits that count: 0.0123 as 0.012, 412.3 as 412.
    public static func significant(_ value: Double) -> String {
        var (scaled, digits) = (value.magnitude, 0)
        while scaled > 0, scaled < 10, digits < 9 { (scaled, digits) = (10 * scaled, digits + 1) }
        return fixed(value, digits)
    }

    /// With so many digits after the point; no exponent below 1e15.
    public static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite, abs(value) < 1e15 else { return "\(value)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (abs(value) * scale).rounded()
        let sign = value < 0 && scaled > 0 ? "-" : ""
        let (whole, fraction) = Int(scaled).quotientAndRemainder(dividingBy: Int(scale))
        guard digits > 0 else { return "\(sign)\(whole)" }
        let tail = String(fraction)
        return "\(sign)\(whole)." + String(repeating: "0", count: digits - tail.count) + tail
    }

    /// Lines of text broken at spaces.
    ///
    /// - Parameters:
    ///   - width: Columns of a line; nil: lines stay as they are.
    ///   - hanging: Spaces before what a broken line continues with.
    public static func wrapped(_ text: String, width: Int?, hanging: Int = 2) -> String {
        guard let width else { return text }
        return text.split(separator: "\n", omittingEmptySubsequences: false)
            .map { wrappedLine($0, max(width, hanging + 10), hanging) }.joined(separator: "\n")
    }

    private static func wrappedLine(_ text: Substring, _ width: Int, _ hanging: Int) -> String {
        var (rest, lines) = (String(text), [String]())
        while rest.count > width {
            let indentation = rest.prefix { $0 == " " }.count
            let start = rest.index(rest.startIndex, offsetBy: indentation)
            let limit = rest.index(rest.startIndex, offsetBy: width)
            let head = rest[start...limit].lastIndex(of: " ")
            // A word that is longer than a line stays whole.
            guard let cut = head ?? rest[limit...].firstIndex(of: " ") else { break }
            lines.append(String(rest[..<cut]))
            rest = String(repeating: " ", count: hanging) + rest[cut...].drop { $0 == " " }
        }
        return (lines + [rest]).joined(separator: "\n")
    }

    /// E.g. `35 ms`, `4.2 s`, `2:05 min`.
    public static func seconds(_ value: Double) -> String {
        if value < 1 { return "\(fixed(value * 1000, 0)) ms" }
        if value < 60 { return "\(fixed(value, 1)) s" }
        let whole = Int(value.rounded())
        let seconds = whole % 60 < 10 ? "0\(whole % 60)" : "\(whole % 60)"
        return "\(whole / 60):\(seconds) min"
    }
}
