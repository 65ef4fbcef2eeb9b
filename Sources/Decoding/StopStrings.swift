/// Finds stop strings in text that comes in pieces. Text that may become a stop string is held back.
public struct StopStrings: Sendable {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []

    /// - Parameter strings: Empty ones are ignored.
    public init(_ strings: [String]) {
        stops = strings.filter { !$0.isEmpty }.map { Array($0.utf8) }
    }

    /// Takes the next piece of text.
    ///
    /// - Returns: The text that is safe to show, and whether a stop string ended it; the stop string
    ///   and what follows are dropped.
    public mutating func append(_ text: String) -> (text: String, isStopped: Bool) {
        guard !stops.isEmpty else { return (text, false) }
        held.append(contentsOf: text.utf8)
        if let begin = held.indices.first(where: { at in
            stops.contains { held[at...].starts(with: $0) }
        }) {
            let shown = String(decoding: held[..<begin], as: UTF8.self)
            held.removeAll(keepingCapacity: true)
            return (shown, true)
        }
        let keep =
            held.indices.first { at in
                stops.contains { $0.starts(with: held[at...]) }
            } ?? held.endIndex
        let shown = String(decoding: held[..<keep], as: UTF8.self)
        held.removeFirst(keep)
        return (shown, false)
    }

    /// The text that was held back and is no stop string.
    public mutating func finish() -> String {
        defer { held.removeAll(keepingCapacity: true) }
        return String(decoding: held, as: UTF8.self)
    }
}
