internal import TesseraTokenization

/// A text that remembers, scalar by scalar, what a user wrote: slicing, trimming and joining keep the
/// mark, so that user text stays user text wherever a template puts it.
///
/// Texts with the same scalars are equal, also if their marks differ. All operations take linear time.
struct MarkedText: Hashable, Sendable {
    /// Scalars; `userBit` marks those of a user.
    var units: [UInt32] = []
    static let userBit: UInt32 = 1 << 31

    init() {}
    init(units: some Sequence<UInt32>) { self.units = Array(units) }
    init(_ text: String, isUserText: Bool = false) {
        units = text.unicodeScalars.map { $0.value | (isUserText ? Self.userBit : 0) }
    }

    static func == (a: Self, b: Self) -> Bool {
        a.units.count == b.units.count
            && zip(a.units, b.units).allSatisfy { ($0 ^ $1) & ~userBit == 0 }
    }

    func hash(into hasher: inout Hasher) {
        for unit in units { hasher.combine(unit & ~Self.userBit) }
    }

    var isEmpty: Bool { units.isEmpty }
    var hasUserText: Bool { units.contains { $0 & Self.userBit != 0 } }

    var text: String {
        var view = String.UnicodeScalarView()
        for unit in units { view.append(Self.scalar(unit)) }
        return String(view)
    }

    static func scalar(_ unit: UInt32) -> Unicode.Scalar {
        Unicode.Scalar(unit & ~userBit) ?? "\u{fffd}"
    }

    /// Scalars without marks.
    var plain: [UInt32] { units.map { $0 & ~Self.userBit } }

    /// Runs of one origin.
    var segments: [Segment] {
        var segments: [Segment] = []
        var begin = 0
        for index in units.indices
        where index + 1 == units.count || (units[index] ^ units[index + 1]) & Self.userBit != 0 {
            let run = MarkedText(units: units[begin...index])
            segments.append(
                Segment(text: run.text, isUserText: units[index] & Self.userBit != 0))
            begin = index + 1
        }
        return segments
    }

    static func + (a: Self, b: Self) -> Self { Self(units: a.units + b.units) }

    subscript(range: Range<Int>) -> MarkedText { MarkedText(units: units[range]) }

    func reversed() -> MarkedText { MarkedText(units: units.reversed()) }

    func repeated(_ times: Int) -> MarkedText {
        if units.count == 1 { return Self(units: repeatElement(units[0], count: max(0, times))) }
        return Self(units: repeatElement(units, count: max(0, times)).joined())
    }

    // MARK: Searching

    /// Where `wanted`, which is not empty, begins: the first `most` places that do not overlap, by
    /// Knuth, Morris and Pratt.
    func places(of wanted: MarkedText, most: Int = .max) -> [Int] {
        let pattern = wanted.plain
        guard !pattern.isEmpty, pattern.count <= units.count, most > 0 else { return [] }
        let borders = Self.borders(of: pattern)
        var places: [Int] = []
        var matched = 0
        for (index, unit) in units.enumerated() {
            let value = unit & ~Self.userBit
            while matched > 0, pattern[matched] != value { matched = borders[matched - 1] }
            if pattern[matched] == value { matched += 1 }
            guard matched == pattern.count else { continue }
            places.append(index + 1 - matched)
            guard places.count < most else { break }
            matched = 0
        }
        return places
    }

    /// For each beginning of `pattern`, the length of its longest proper beginning that ends it too.
    private static func borders(of pattern: [UInt32]) -> [Int] {
        var borders = [0]
        var length = 0
        for index in 1..<max(1, pattern.count) {
            while length > 0, pattern[index] != pattern[length] { length = borders[length - 1] }
            if pattern[index] == pattern[length] { length += 1 }
            borders.append(length)
        }
        return borders
    }

    func contains(_ wanted: MarkedText) -> Bool {
        wanted.isEmpty || !places(of: wanted, most: 1).isEmpty
    }

    func starts(with prefix: MarkedText) -> Bool {
        units.count >= prefix.units.count && self[0..<prefix.units.count] == prefix
    }

    func ends(with suffix: MarkedText) -> Bool {
        let begin = units.count - suffix.units.count
        return begin >= 0 && self[begin..<units.count] == suffix
    }

    /// The parts between the first `most` places of `separator`, which is not empty.
    func split(by separator: MarkedText, most: Int = .max) -> [MarkedText] {
        var parts: [MarkedText] = []
        var begin = 0
        for place in places(of: separator, most: most) {
            parts.append(self[begin..<place])
            begin = place + separator.units.count
        }
        return parts + [self[begin..<units.count]]
    }

    /// As `split`, but the last `most` places.
    func splitFromEnd(by separator: MarkedText, most: Int = .max) -> [MarkedText] {
        reversed().split(by: separator.reversed(), most: most).reversed().map { $0.reversed() }
    }

    /// Runs between white space; after `most` runs the rest is the last one.
    func words(most: Int = .max) -> [MarkedText] {
        var parts: [MarkedText] = []
        var at = 0
        while true {
            while at < units.count, Self.isSpace(units[at]) { at += 1 }
            guard at < units.count else { return parts }
            let begin = at
            if parts.count == most {
                return parts + [self[begin..<units.count].trimmed(nil, left: false)]
            }
            while at < units.count, !Self.isSpace(units[at]) { at += 1 }
            parts.append(self[begin..<at])
        }
    }

    /// Lines as Python's `splitlines` finds them.
    func lines(keepingEnds: Bool = false) -> [MarkedText] {
        var lines: [MarkedText] = []
        var (begin, at) = (0, 0)
        while at < units.count {
            let value = units[at] & ~Self.userBit
            at += 1
            guard Self.lineEnds.contains(value) else { continue }
            let end = at - 1
            if value == 13, at < units.count, units[at] & ~Self.userBit == 10 { at += 1 }
            lines.append(self[begin..<(keepingEnds ? at : end)])
            begin = at
        }
        return begin < units.count ? lines + [self[begin..<units.count]] : lines
    }

    private static let lineEnds: Set<UInt32> = [
        10, 11, 12, 13, 0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029,
    ]

    /// With each place of `old`, or the first `most`, replaced. An empty `old` is before every
    /// scalar and at the end.
    func replacing(_ old: MarkedText, with new: MarkedText, most: Int = .max) -> MarkedText {
        guard old.isEmpty else { return Self.joined(split(by: old, most: most), by: new) }
        var result = MarkedText()
        for (index, unit) in units.enumerated() {
            if index < most { result.units += new.units }
            result.units.append(unit)
        }
        if units.count < most { result.units += new.units }
        return result
    }

    static func joined(_ parts: [MarkedText], by separator: MarkedText) -> MarkedText {
        MarkedText(units: parts.map(\.units).joined(separator: separator.units))
    }

    // MARK: White space and case

    /// Python's `str.isspace`.
    static func isSpace(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isWhitespace || (0x1c...0x1f).contains(scalar.value)
    }

    static func isSpace(_ unit: UInt32) -> Bool { isSpace(scalar(unit)) }

    /// Without the members of `set` (nil: white space) at its ends.
    func trimmed(_ set: MarkedText?, left: Bool = true, right: Bool = true) -> MarkedText {
        let members = set.map { Set($0.plain) }
        func isMember(_ unit: UInt32) -> Bool {
            members?.contains(unit & ~Self.userBit) ?? Self.isSpace(unit)
        }
        var slice = units[...]
        if left { slice = slice.drop(while: isMember) }
        if right { while let last = slice.last, isMember(last) { slice.removeLast() } }
        return MarkedText(units: slice)
    }

    /// Maps each scalar with its index, keeping its mark.
    func map(_ transform: (Int, Unicode.Scalar) -> String) -> MarkedText {
        var result = MarkedText()
        result.units.reserveCapacity(units.count)
        for (index, unit) in units.enumerated() {
            for scalar in transform(index, Self.scalar(unit)).unicodeScalars {
                result.units.append(scalar.value | (unit & Self.userBit))
            }
        }
        return result
    }
}
