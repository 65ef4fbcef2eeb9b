/// Rules as states and edges: reading a byte, calling a rule, coming to its end.
struct Network: Sendable {
    enum State: Sendable {
        /// Reads a byte.
        case bytes([Edge])
        case split([Int32])
        case call(rule: Int32, then: Int32)
        case end
    }

    struct Edge: Sendable {
        var bytes: ClosedRange<UInt8>
        var target: Int32
    }

    private(set) var states: [State] = [.end]
    /// First state of each rule.
    private(set) var entries: [Int32] = []
    let root: Int
    /// A number for each byte; bytes of one class are alike everywhere. A byte of each class.
    private(set) var classes = [UInt8](repeating: 0, count: 256)
    private(set) var examples: [UInt8] = []
    /// Copies of what may be repeated.
    private(set) var chains: [Repetitions.Chain] = []
    private let leastBytes: [Int]

    /// The end of every rule.
    static let end: Int32 = 0
    static let stateLimit = 1 << 18

    init(_ rules: [Grammar.Rule], root: Int) throws(GrammarError) {
        self.root = root
        leastBytes = Expression.leastBytes(of: rules)
        for rule in rules {
            entries.append(try add(rule.body, then: Self.end, rule.name))
        }
        try NetworkAnalysis.checkLeftRecursion(self, rules)
        let canEnd = NetworkAnalysis.canEnd(self)
        guard canEnd[Int(entries[root])] else {
            // The innermost rule, the last that has a name, tells most.
            let bad = entries.indices.last { !canEnd[Int(entries[$0])] } ?? root
            throw .endless(rules[bad].name)
        }
        prune(canEnd)
        findClasses()
    }

    // MARK: Building

    private mutating func add(_ state: State, _ name: String) throws(GrammarError) -> Int32 {
        guard states.count < Self.stateLimit else { throw .tooLarge(name) }
        states.append(state)
        return Int32(states.count - 1)
    }

    /// - Parameter next: State after the expression.
    /// - Returns: State before it.
    private mutating func add(
        _ expression: Expression, then next: Int32, _ name: String
    ) throws(GrammarError) -> Int32 {
        switch expression {
        case .bytes(let bytes):
            var at = next
            for byte in bytes.reversed() {
                at = try add(.bytes([Edge(bytes: byte...byte, target: at)]), name)
            }
            return at
        case .characters(let ranges):
            return try addCharacters(ranges, then: next, name)
        case .sequence(let parts):
            var at = next
            for part in parts.reversed() { at = try add(part, then: at, name) }
            return at
        case .choice(let parts):
            let literals = parts.compactMap {
                if case .bytes(let bytes) = $0 { bytes[...] } else { nil }
            }
            if literals.count > 1, literals.count == parts.count {
                return try addLiterals(literals, then: next, name)
            }
            var targets: [Int32] = []
            for part in parts { targets.append(try add(part, then: next, name)) }
            return try add(.split(targets), name)
        case .repeated(let body, let least, let most):
            return try addRepeated(body, least, most, then: next, name)
        case .rule(let rule):
            return try add(.call(rule: Int32(rule), then: next), name)
        }
    }

    private mutating func addRepeated(
        _ body: Expression, _ least: Int, _ most: Int?, then next: Int32, _ name: String
    ) throws(GrammarError) -> Int32 {
        guard least <= Self.stateLimit, (most ?? 0) <= Self.stateLimit else {
            throw .tooLarge(name)
        }
        var at = next
        if let most {
            let first = states.count
            for _ in 0..<max(0, most - least) {
                at = try add(.split([try add(body, then: at, name), next]), name)
            }
            addChain(from: first, copies: most - least, of: body)
        } else {
            at = try add(.split([]), name)
            let begin = try add(body, then: at, name)
            states[Int(at)] = .split([begin, next])
        }
        let first = states.count
        for _ in 0..<least { at = try add(body, then: at, name) }
        addChain(from: first, copies: least, of: body)
        return at
    }

    private mutating func addChain(from first: Int, copies: Int, of body: Expression) {
        let bytes = body.leastBytes(leastBytes)
        guard copies > 1, bytes > 0 else { return }
        let stride = (states.count - first) / copies
        precondition(stride * copies == states.count - first, "copies of a body of unequal sizes")
        chains.append(.init(first: first, stride: stride, copies: copies, bytes: bytes))
    }

    private mutating func addCharacters(
        _ ranges: [ClosedRange<UInt32>], then next: Int32, _ name: String
    ) throws(GrammarError) -> Int32 {
        struct Tail: Hashable {
            var range: ClosedRange<UInt8>
            var next: Int32
        }
        var tails: [Tail: Int32] = [:]
        var edges: [Edge] = []
        for sequence in Characters.sequences(ranges) {
            var at = next
            for range in sequence.dropFirst().reversed() {
                let tail = Tail(range: range, next: at)
                if let known = tails[tail] {
                    at = known
                } else {
                    at = try add(.bytes([Edge(bytes: range, target: at)]), name)
                    tails[tail] = at
                }
            }
            edges.append(Edge(bytes: sequence[0], target: at))
        }
        return try add(.bytes(edges), name)
    }

    /// Alternatives that share beginnings, as a tree of bytes.
    private mutating func addLiterals(
        _ literals: [ArraySlice<UInt8>], then next: Int32, _ name: String
    ) throws(GrammarError) -> Int32 {
        var byFirst: [UInt8: [ArraySlice<UInt8>]] = [:]
        var canEnd = false
        for literal in literals {
            guard let first = literal.first else {
                canEnd = true
                continue
            }
            byFirst[first, default: []].append(literal.dropFirst())
        }
        var edges: [Edge] = []
        for (byte, rests) in byFirst.sorted(by: { $0.key < $1.key }) {
            let target =
                rests.count == 1
                ? try add(.bytes(Array(rests[0])), then: next, name)
                : try addLiterals(rests, then: next, name)
            edges.append(Edge(bytes: byte...byte, target: target))
        }
        guard canEnd else { return try add(.bytes(edges), name) }
        guard !edges.isEmpty else { return next }
        return try add(.split([try add(.bytes(edges), name), next]), name)
    }

    // MARK: Finishing

    /// Removes states that lead nowhere.
    private mutating func prune(_ canEnd: [Bool]) {
        for index in states.indices {
            switch states[index] {
            case .bytes(let edges):
                states[index] = .bytes(edges.filter { canEnd[Int($0.target)] })
            case .split(let targets):
                states[index] = .split(targets.filter { canEnd[Int($0)] })
            case .call, .end: break  // reached only by what can end
            }
        }
    }

    private mutating func findClasses() {
        var isBorder = [Bool](repeating: false, count: 257)
        isBorder[0] = true
        for state in states {
            guard case .bytes(let edges) = state else { continue }
            for edge in edges {
                isBorder[Int(edge.bytes.lowerBound)] = true
                isBorder[Int(edge.bytes.upperBound) + 1] = true
            }
        }
        for byte in 0..<256 {
            if isBorder[byte] { examples.append(UInt8(byte)) }
            classes[byte] = UInt8(examples.count - 1)
        }
    }
}

/// Analysis of rules, before any text.
enum NetworkAnalysis {
    /// Refuses rules that could be called without end and without a byte.
    static func checkLeftRecursion(
        _ network: Network, _ rules: [Grammar.Rule]
    ) throws(GrammarError) {
        let isEmpty = emptyRules(network)
        enum Mark { case new, open, done }
        var marks = [Mark](repeating: .new, count: rules.count)
        for start in rules.indices where marks[start] == .new {
            // A walk in depth with its own stack: rules may be nested deeper than calls.
            var path: [(rule: Int, left: [Int])] = [(start, firstRules(network, start, isEmpty))]
            marks[start] = .open
            while let last = path.indices.last {
                guard let next = path[last].left.popLast() else {
                    marks[path[last].rule] = .done
                    path.removeLast()
                    continue
                }
                guard marks[next] != .open else { throw .leftRecursion(rules[next].name) }
                guard marks[next] == .new else { continue }
                marks[next] = .open
                path.append((next, firstRules(network, next, isEmpty)))
            }
        }
    }

    /// Rules that a rule may call before it has read a byte.
    private static func firstRules(
        _ network: Network, _ rule: Int, _ isEmpty: [Bool]
    ) -> [Int] {
        var found: Set<Int> = []
        var seen: Set<Int32> = []
        var open = [network.entries[rule]]
        while let state = open.popLast() {
            guard seen.insert(state).inserted else { continue }
            switch network.states[Int(state)] {
            case .bytes, .end: break
            case .split(let targets): open += targets
            case .call(let called, let then):
                found.insert(Int(called))
                if isEmpty[Int(called)] { open.append(then) }
            }
        }
        return found.sorted(by: >)
    }

    /// Whether each rule may stand for the empty text.
    private static func emptyRules(_ network: Network) -> [Bool] {
        let reached = ending(network) { if case .bytes = $0 { false } else { true } }
        return network.entries.map { reached[Int($0)] }
    }

    /// Whether the end of its rule can be reached from each state.
    static func canEnd(_ network: Network) -> [Bool] { ending(network) { _ in true } }

    /// Which states lead to the end of their rule through states for which `passes` is true.
    private static func ending(
        _ network: Network, _ passes: (Network.State) -> Bool
    ) -> [Bool] {
        var before = [[Int32]](repeating: [], count: network.states.count)
        var callers = [[Int32]](repeating: [], count: network.entries.count)
        for (index, state) in network.states.enumerated() where passes(state) {
            switch state {
            case .bytes(let edges):
                for edge in edges { before[Int(edge.target)].append(Int32(index)) }
            case .split(let targets):
                for target in targets { before[Int(target)].append(Int32(index)) }
            case .call(let rule, let then):
                before[Int(then)].append(Int32(index))
                callers[Int(rule)].append(Int32(index))
            case .end: break
            }
        }
        var rules: [Int32: [Int]] = [:]
        for (rule, entry) in network.entries.enumerated() { rules[entry, default: []].append(rule) }
        var canEnd = [Bool](repeating: false, count: network.states.count)
        var open: [Int32] = [Network.end]
        canEnd[Int(Network.end)] = true
        while let state = open.popLast() {
            let waiting = before[Int(state)] + (rules[state] ?? []).flatMap { callers[$0] }
            for index in waiting where !canEnd[Int(index)] {
                if case .call(let rule, let then) = network.states[Int(index)] {
                    guard canEnd[Int(then)], canEnd[Int(network.entries[Int(rule)])] else {
                        continue
                    }
                }
                canEnd[Int(index)] = true
                open.append(index)
            }
        }
        return canEnd
    }
}
