/// States that differ only in how often a body may still be repeated.
///
/// A repetition with a limit is a chain of copies of its body. A state of one copy reads what the same state of the
/// fullest copy reads, the one with the most copies after it, until the copies have come to an end.
struct Repetitions: Sendable {
    /// For each state, one that may go on with the same texts, up to the number of bytes that is looked at.
    private(set) var alike: [Int32]
    /// For each state, the same state of the fullest copy; the state itself where it is in no chain.
    private(set) var fullest: [Int32]
    /// For each state, the most bytes of a text with which it and the fullest one may go on alike.
    private(set) var bytes: [Int32]

    /// Copies that lie one after the other; the first one built is the last one read.
    struct Chain: Sendable {
        var first: Int
        /// States of one copy.
        var stride: Int
        var copies: Int
        /// Least bytes of a body.
        var bytes: Int
    }

    /// - Parameters:
    ///   - chains: Inner ones before those that they are part of.
    ///   - reach: Bytes of a text that are looked at.
    init(_ chains: [Chain], stateCount: Int, reach: Int) {
        fullest = (0..<Int32(stateCount)).map { $0 }
        alike = fullest
        bytes = Array(repeating: .max, count: stateCount)
        for chain in chains {
            for copy in 0..<chain.copies - 1 {
                let begin = chain.first + copy * chain.stride
                let shift = Int32((chain.copies - 1 - copy) * chain.stride)
                let known = copy * chain.bytes  // both are limited
                for state in begin..<begin + chain.stride {
                    fullest[state] += shift
                    if known >= reach { alike[state] += shift }
                    bytes[state] = min(bytes[state], Int32(clamping: known))
                }
            }
        }
    }
}

extension Expression {
    /// No text of the expression has fewer bytes; up to a limit that is far above any token.
    ///
    /// - Parameter rules: The least bytes of each rule.
    func leastBytes(_ rules: [Int]) -> Int {
        let limit = 1 << 16
        switch self {
        case .bytes(let bytes): return min(bytes.count, limit)
        case .characters: return 1
        case .sequence(let parts):
            return parts.reduce(0) { min(limit, $0 + $1.leastBytes(rules)) }
        case .choice(let parts): return parts.map { $0.leastBytes(rules) }.min() ?? limit
        case .repeated(let body, let least, _):
            return min(limit, min(least, limit) * body.leastBytes(rules))
        case .rule(let rule): return rules[rule]
        }
    }

    /// The least bytes known of each rule after some rounds. The rounds begin with less, so that no value is too large.
    static func leastBytes(of rules: [Grammar.Rule]) -> [Int] {
        var known = [Int](repeating: 0, count: rules.count)
        for _ in 0..<4 { known = rules.map { $0.body.leastBytes(known) } }
        return known
    }
}
