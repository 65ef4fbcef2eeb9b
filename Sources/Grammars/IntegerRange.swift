/// Whole numbers between two bounds as decimal texts.
enum IntegerRange {
    /// - Returns: An expression that allows no text if there is no such number.
    static func expression(_ least: Int?, _ most: Int?) -> Expression {
        let limit = 999_999_999_999_999
        let (least, most) = (max(least ?? -limit, -limit), min(most ?? limit, limit))
        guard least <= most else { return .never }
        var parts: [Expression] = []
        if least < 0 {
            parts.append(
                .sequence([.text("-"), unsigned(max(1, -most), -least)]))
        }
        if most >= 0 { parts.append(unsigned(max(0, least), most)) }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private static func unsigned(_ least: Int, _ most: Int) -> Expression {
        var parts: [Expression] = []
        var begin = least
        // Numbers of one length at a time.
        while begin <= most {
            let length = String(begin).utf8.count
            let end = min(most, power(length) - 1)
            parts.append(between(digits(begin), digits(end)))
            begin = end + 1
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }

    private static func power(_ count: Int) -> Int {
        (0..<count).reduce(1) { power, _ in power * 10 }
    }
    private static func digits(_ value: Int) -> ArraySlice<UInt8> {
        String(value).utf8.map { $0 }[...]
    }

    /// Digit strings between two of one length.
    private static func between(_ low: ArraySlice<UInt8>, _ high: ArraySlice<UInt8>) -> Expression {
        guard let first = low.first, let last = high.first else { return .empty }
        let (lowRest, highRest) = (low.dropFirst(), high.dropFirst())
        func digit(_ range: ClosedRange<UInt8>) -> Expression {
            .characters([UInt32(range.lowerBound)...UInt32(range.upperBound)])
        }
        let count = lowRest.count
        let (least, most) = (
            [UInt8](repeating: 0x30, count: count)[...], [UInt8](repeating: 0x39, count: count)[...]
        )
        if first == last {
            return .sequence([digit(first...first), between(lowRest, highRest)])
        }
        var parts: [Expression] = []
        var (begin, end) = (first, last)
        if !lowRest.elementsEqual(least) {
            parts.append(.sequence([digit(first...first), between(lowRest, most)]))
            begin += 1
        }
        if !highRest.elementsEqual(most) {
            parts.append(.sequence([digit(last...last), between(least, highRest)]))
            end -= 1
        }
        if begin <= end {
            parts.append(
                .sequence([
                    digit(begin...end), .repeated(JSONParts.digit, least: count, most: count),
                ]))
        }
        return parts.count == 1 ? parts[0] : .choice(parts)
    }
}
