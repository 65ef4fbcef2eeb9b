/// Characters as sequences of byte ranges in UTF-8.
enum Characters {
    static let all: [ClosedRange<UInt32>] = [0...0xd7ff, 0xe000...0x10ffff]

    /// Without surrogates, ascending and without overlaps.
    static func normalized(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
        let valid = ranges.flatMap { range in
            all.compactMap { $0.overlaps(range) ? $0.clamped(to: range) : nil }
        }
        var result: [ClosedRange<UInt32>] = []
        for range in valid.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = result.last, range.lowerBound <= last.upperBound + 1 {
                result[result.count - 1] =
                    last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                result.append(range)
            }
        }
        return result.flatMap { range in  // adjacent ranges may have met over the surrogates
            all.compactMap { $0.overlaps(range) ? $0.clamped(to: range) : nil }
        }
    }

    /// All characters but these.
    static func complement(_ ranges: [ClosedRange<UInt32>]) -> [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        var next: UInt32 = 0
        for range in normalized(ranges) {
            if range.lowerBound > next { result.append(next...range.lowerBound - 1) }
            next = range.upperBound + 1
        }
        if next <= 0x10ffff { result.append(next...0x10ffff) }
        return normalized(result)
    }

    static func intersection(
        _ a: [ClosedRange<UInt32>], _ b: [ClosedRange<UInt32>]
    ) -> [ClosedRange<UInt32>] {
        normalized(
            a.flatMap { x in b.compactMap { $0.overlaps(x) ? $0.clamped(to: x) : nil } })
    }

    static func subtract(
        _ a: [ClosedRange<UInt32>], _ b: [ClosedRange<UInt32>]
    ) -> [ClosedRange<UInt32>] { intersection(a, complement(b)) }

    /// Characters of one byte, of two, three and four.
    private static let lengths: [ClosedRange<UInt32>] = [
        0...0x7f, 0x80...0x7ff, 0x800...0xffff, 0x10000...0x10ffff,
    ]

    /// Sequences of byte ranges that spell the characters of `ranges`, and nothing else.
    static func sequences(_ ranges: [ClosedRange<UInt32>]) -> [[ClosedRange<UInt8>]] {
        normalized(ranges).flatMap { range in
            // Parts of one length in bytes.
            lengths.enumerated().flatMap {
                length, part -> [[ClosedRange<UInt8>]] in
                guard part.overlaps(range) else { return [] }
                let own = part.clamped(to: range)
                return split(
                    spelled(own.lowerBound, length + 1), spelled(own.upperBound, length + 1))
            }
        }
    }

    private static func spelled(_ scalar: UInt32, _ length: Int) -> [UInt8] {
        guard length > 1 else { return [UInt8(scalar)] }
        let marks: [UInt32] = [0, 0, 0xc0, 0xe0, 0xf0]
        return (0..<length).map { index in
            let bits = scalar >> (6 * UInt32(length - 1 - index))
            return UInt8(index == 0 ? marks[length] | bits : 0x80 | bits & 0x3f)
        }
    }

    /// All byte strings between two of one length whose bytes after the first are continuations.
    private static func split(_ low: [UInt8], _ high: [UInt8]) -> [[ClosedRange<UInt8>]] {
        guard low.count > 1 else { return [[low[0]...high[0]]] }
        let (least, most) = (
            [UInt8](repeating: 0x80, count: low.count - 1),
            [UInt8](repeating: 0xbf, count: low.count - 1)
        )
        let (lowRest, highRest) = (Array(low.dropFirst()), Array(high.dropFirst()))
        func prefixed(
            _ first: ClosedRange<UInt8>, _ low: [UInt8], _ high: [UInt8]
        ) -> [[ClosedRange<UInt8>]] { split(low, high).map { [first] + $0 } }
        if low[0] == high[0] { return prefixed(low[0]...low[0], lowRest, highRest) }
        var result: [[ClosedRange<UInt8>]] = []
        var (begin, end) = (low[0], high[0])
        if lowRest != least {
            result += prefixed(begin...begin, lowRest, most)
            begin += 1
        }
        var tail: [[ClosedRange<UInt8>]] = []
        if highRest != most {
            tail = prefixed(end...end, least, highRest)
            end -= 1
        }
        if begin <= end { result += prefixed(begin...end, least, most) }
        return result + tail
    }
}
