/// The automaton of a grammar: the text read so far is one number, and a byte leads from one number to another.
///
/// A number stands for all readings of the text. Each reading is a state of the network and a stack of states to
/// come back to. Readings are found when they are first met and kept.
struct Automaton {
    /// A reading: the stack's number plus one, and above it the state, which reads a byte.
    private typealias Reading = UInt64

    private let network: Network
    private var frames: [Frame] = []
    private var framePlaces: [Frame: Int32] = [:]
    private let repetitions: Repetitions
    /// By frame, as ``Repetitions`` has it by state.
    private var frameTwins: [FrameTwins] = []
    private var readings: [[Reading]] = []
    private var places: [[Reading]: Int32] = [:]
    /// Readings of all numbers together.
    private var readingCount = 0
    /// The next number, by number and class of a byte.
    private var rows: [Int32] = []
    /// Classes of bytes.
    private let width: Int

    /// A state to come back to, and the frame below; -1 for none.
    private struct Frame: Hashable {
        var state: Int32
        var below: Int32
    }

    private struct FrameTwins {
        var alike: Int32
        var fullest: Int32
        var bytes: Int32
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

    /// - Parameter reach: Bytes of a text that may follow which are looked at.
    init(_ grammar: Grammar, reach: Int) throws(GrammarError) {
        network = grammar.network
        width = network.examples.count
        repetitions = Repetitions(
            network.chains, stateCount: network.states.count, reach: reach)
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

    @inline(__always)
    mutating func next(_ place: Int32, _ byte: UInt8) throws(GrammarError) -> Int32 {
        let kind = network.classes[Int(byte)]
        let index = Int(place) * width + Int(kind)
        if rows[index] != Self.unknown { return rows[index] }
        let next = try step(place, network.examples[Int(kind)])
        rows[index] = next
        return next
    }

    /// The one byte that may follow; nil if there are several or none, or if the text may end.
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

    /// The place of a text that may repeat more, and is the same otherwise.
    ///
    /// - Returns: Both places may go on with the same texts of up to `bytes` bytes. A place that goes on as this one
    ///   as far as is looked at, and differs, comes first; then the one that may repeat the most.
    mutating func twin(_ place: Int32) throws(GrammarError) -> (place: Int32, bytes: Int) {
        var (alike, fullest): (Set<Reading>, Set<Reading>) = ([], [])
        var bytes = Int32.max
        for reading in readings[Int(place)] {
            guard reading != Self.end else {
                alike.insert(reading)
                fullest.insert(reading)
                continue
            }
            let (state, stack) = (Int(reading >> 32), Int32(truncatingIfNeeded: reading) - 1)
            let frame =
                stack < 0
                ? FrameTwins(alike: -1, fullest: -1, bytes: .max) : frameTwins[Int(stack)]
            bytes = min(bytes, repetitions.bytes[state], frame.bytes)
            alike.insert(Self.reading(repetitions.alike[state], frame.alike))
            fullest.insert(Self.reading(repetitions.fullest[state], frame.fullest))
        }
        guard bytes < .max else { return (place, .max) }
        let other = try number(alike)
        return other == place ? (try number(fullest), Int(bytes)) : (other, .max)
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
                // A rule that ends with another rule needs no return to it.
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
        frameTwins.append(FrameTwins(alike: place, fullest: place, bytes: .max))
        let under =
            below < 0
            ? FrameTwins(alike: -1, fullest: -1, bytes: .max) : frameTwins[Int(below)]
        let bytes = min(repetitions.bytes[Int(state)], under.bytes)
        if bytes < .max {
            frameTwins[Int(place)] = FrameTwins(
                alike: self.frame(repetitions.alike[Int(state)], under.alike),
                fullest: self.frame(repetitions.fullest[Int(state)], under.fullest), bytes: bytes)
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
        rows += repeatElement(Self.unknown, count: width)
        places[sorted] = Int32(readings.count - 1)
        return Int32(readings.count - 1)
    }
}
