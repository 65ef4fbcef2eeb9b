/// A grammar at work: what has been read so far is one number, and a byte leads from one to another.
///
/// A number stands for all readings of the text. Each reading is a state of the network and a stack of states to
/// come back to. Readings are found when they are first met and kept.
struct Automaton {
    /// A reading: the stack's number plus one, and above it the state, which reads a byte.
    private typealias Reading = UInt64

    private let network: Network
    private var frames: [Frame] = []
    private var framePlaces: [Frame: Int32] = [:]
    /// By frame, as for ``twin(_:)``.
    private var frameTwins: [(frame: Int32, bytes: Int32)] = []
    private var readings: [[Reading]] = []
    private var places: [[Reading]: Int32] = [:]
    /// In all numbers together.
    private var readingCount = 0
    /// By number and class of a byte, what follows.
    private var rows: [Int32] = []

    /// A state to come back to, and the frame below; -1 for none.
    private struct Frame: Hashable {
        var state: Int32
        var below: Int32
    }

    /// Nothing can follow.
    static let dead: Int32 = -1
    private static let unknown: Int32 = -2
    /// In place of a reading: the text may end here. The last of all.
    private static let end = Reading.max

    /// Readings of one text, and numbers in all.
    private static let (readingLimit, placeLimit) = (4096, 1 << 18)

    /// Before any byte.
    private(set) var start: Int32 = 0

    init(_ grammar: Grammar) throws(GrammarError) {
        network = grammar.network
        var found: Set<Reading> = []
        var seen: Set<Reading> = []
        try open(network.entries[network.root], -1, &found, &seen)
        start = try number(found)
    }

    /// About what is kept, in bytes.
    var byteCount: Int {
        4 * rows.count + 16 * readingCount + 128 * readings.count + 64 * frames.count
    }

    /// Whether the text may end.
    func canEnd(_ place: Int32) -> Bool { readings[Int(place)].last == Self.end }

    /// Whether the text can only end.
    func isComplete(_ place: Int32) -> Bool { readings[Int(place)] == [Self.end] }

    mutating func next(_ place: Int32, _ byte: UInt8) throws(GrammarError) -> Int32 {
        let kind = network.classes[Int(byte)]
        let index = Int(place) * network.examples.count + Int(kind)
        if rows[index] != Self.unknown { return rows[index] }
        let next = try step(place, network.examples[Int(kind)])
        rows[index] = next
        return next
    }

    /// The one byte that may follow; nil where there are several or none, or where the text may end.
    mutating func onlyByte(_ place: Int32) -> UInt8? {
        var only: UInt8?
        for reading in readings[Int(place)] {
            guard reading != Self.end,
                case .bytes(let edges) = network.states[Int(reading >> 32)]
            else { return nil }
            for edge in edges {
                guard edge.bytes.count == 1, only == nil || only == edge.bytes.lowerBound else {
                    return nil
                }
                only = edge.bytes.lowerBound
            }
        }
        return only
    }

    /// Where a text would be that may repeat more, and is elsewhere the same.
    ///
    /// - Returns: A place that is its own twin. Both may go on with the same texts of up to `bytes` bytes.
    mutating func twin(_ place: Int32) throws(GrammarError) -> (place: Int32, bytes: Int) {
        var found: Set<Reading> = []
        var bytes = Int32.max
        for reading in readings[Int(place)] {
            guard reading != Self.end else {
                found.insert(reading)
                continue
            }
            let state = Int(reading >> 32)
            var stack = Int32(truncatingIfNeeded: reading) - 1
            bytes = min(bytes, network.repetitions.alike[state])
            if stack >= 0 {
                bytes = min(bytes, frameTwins[Int(stack)].bytes)
                stack = frameTwins[Int(stack)].frame
            }
            found.insert(Self.reading(network.repetitions.fullest[state], stack))
        }
        return bytes == .max ? (place, .max) : (try number(found), Int(bytes))
    }

    private static func reading(_ state: Int32, _ stack: Int32) -> Reading {
        Reading(UInt32(state)) << 32 | Reading(UInt32(stack + 1))
    }

    private mutating func step(_ place: Int32, _ byte: UInt8) throws(GrammarError) -> Int32 {
        var found: Set<Reading> = []
        var seen: Set<Reading> = []
        for reading in readings[Int(place)] where reading != Self.end {
            guard case .bytes(let edges) = network.states[Int(reading >> 32)] else { continue }
            for edge in edges where edge.bytes.contains(byte) {
                try open(edge.target, Int32(truncatingIfNeeded: reading) - 1, &found, &seen)
            }
        }
        return try number(found)
    }

    /// Adds all readings that are at `state` before another byte is read.
    private mutating func open(
        _ state: Int32, _ stack: Int32, _ found: inout Set<Reading>, _ seen: inout Set<Reading>
    ) throws(GrammarError) {
        var waiting = [(state, stack)]
        while let (state, stack) = waiting.popLast() {
            let reading = Self.reading(state, stack)
            guard seen.insert(reading).inserted else { continue }
            guard seen.count <= 8 * Self.readingLimit else { throw .tooAmbiguous }
            switch network.states[Int(state)] {
            case .bytes(let edges):
                if !edges.isEmpty { found.insert(reading) }
            case .split(let targets):
                for target in targets { waiting.append((target, stack)) }
            case .call(let rule, let then):
                // A rule that ends with another one need not be come back to.
                let below = then == Network.end ? stack : frame(then, stack)
                waiting.append((network.entries[Int(rule)], below))
            case .end:
                guard stack >= 0 else {
                    found.insert(Self.end)
                    continue
                }
                let frame = frames[Int(stack)]
                waiting.append((frame.state, frame.below))
            }
        }
        guard found.count <= Self.readingLimit else { throw .tooAmbiguous }
    }

    private mutating func frame(_ state: Int32, _ below: Int32) -> Int32 {
        let frame = Frame(state: state, below: below)
        if let place = framePlaces[frame] { return place }
        let place = Int32(frames.count)
        frames.append(frame)
        framePlaces[frame] = place
        frameTwins.append((place, .max))
        let under = below < 0 ? (frame: below, bytes: .max) : frameTwins[Int(below)]
        let bytes = min(network.repetitions.alike[Int(state)], under.bytes)
        if bytes < .max {
            let twin = self.frame(network.repetitions.fullest[Int(state)], under.frame)
            frameTwins[Int(place)] = (twin, bytes)
        }
        return place
    }

    private mutating func number(_ found: Set<Reading>) throws(GrammarError) -> Int32 {
        guard !found.isEmpty else { return Self.dead }
        let sorted = found.sorted()
        if let place = places[sorted] { return place }
        guard readings.count < Self.placeLimit else { throw .tooAmbiguous }
        readings.append(sorted)
        readingCount += sorted.count
        rows += repeatElement(Self.unknown, count: network.examples.count)
        places[sorted] = Int32(readings.count - 1)
        return Int32(readings.count - 1)
    }
}
