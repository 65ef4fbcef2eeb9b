internal import TesseraWeightFile

/// One `PATTERN=ENCODING` or `PATTERN=BITS`.
struct TensorPattern {
    enum Request {
        case encoding(TensorEncoding)
        /// Entropy-coded, with this many bits per weight.
        case rate(Double)
    }

    /// Those that values can be rounded to; the others hold a source's codes.
    private static let encodings = TensorEncoding.allCases.filter {
        switch $0 {
        case .int5, .int5Affine, .int2Nested: false
        default: true
        }
    }

    let text: String
    let request: Request
    private let pattern: [UInt8]

    init(parsing text: String) throws(QuantizationError) {
        self.text = text
        guard let equals = text.lastIndex(of: "=") else {
            throw .badOverride(text, reason: "write PATTERN=ENCODING or PATTERN=BITS")
        }
        let name = text[text.index(after: equals)...]
        if let encoding = Self.encodings.first(where: { $0.description == name }) {
            request = .encoding(encoding)
        } else if let bits = Double(name), EncodingPlan.rates.contains(bits) {
            request = .rate(bits)
        } else {
            let known = Self.encodings.map(\.description).joined(separator: ", ")
            throw .badOverride(
                text,
                reason: "'\(name)' is none of \(known), and no number of bits from "
                    + "\(EncodingPlan.rates.lowerBound) to \(EncodingPlan.rates.upperBound)")
        }
        pattern = Array(text[..<equals].utf8)
    }

    /// Glob matching with `*`, without recursion: on a mismatch, the last star takes one more.
    func matches(_ name: String) -> Bool {
        let name = Array(name.utf8)
        var (p, n, star, mark) = (0, 0, -1, 0)
        while n < name.count {
            if p < pattern.count, pattern[p] == UInt8(ascii: "*") {
                (star, mark) = (p, n)
                p += 1
            } else if p < pattern.count, pattern[p] == name[n] {
                p += 1
                n += 1
            } else if star >= 0 {
                mark += 1
                (p, n) = (star + 1, mark)
            } else {
                return false
            }
        }
        while p < pattern.count, pattern[p] == UInt8(ascii: "*") { p += 1 }
        return p == pattern.count
    }
}
