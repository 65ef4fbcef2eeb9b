/// Seeded changes to inputs, the same on every machine.
public struct Mutator: Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    /// SplitMix64.
    private mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }

    private mutating func below(_ count: Int) -> Int { Int(next() % UInt64(max(1, count))) }

    /// One of `inputs` with some changes.
    ///
    /// - Parameter largest: Bytes of the result at most.
    public mutating func mutation(of inputs: [[UInt8]], largest: Int) -> [UInt8] {
        var bytes = inputs.isEmpty ? [] : inputs[below(inputs.count)]
        for _ in 0...below(4) { change(&bytes, inputs) }
        if bytes.count > largest { bytes.removeLast(bytes.count - largest) }
        return bytes
    }

    private mutating func change(_ bytes: inout [UInt8], _ inputs: [[UInt8]]) {
        // Fields that matter most stand in front.
        let reach = next() % 2 == 0 ? min(64, bytes.count) : bytes.count
        let at = below(reach)
        switch below(bytes.isEmpty ? 1 : 7) {
        case 0: bytes.insert(UInt8(truncatingIfNeeded: next()), at: min(at, bytes.count))
        case 1: bytes[at] ^= 1 << UInt8(below(8))
        case 2: bytes[at] = UInt8(truncatingIfNeeded: next())
        case 3: bytes.removeSubrange(at..<min(bytes.count, at + 1 + below(16)))
        case 4: putNumber(&bytes, at)
        case 5:
            let part = Array(bytes[at..<min(bytes.count, at + 1 + below(64))])
            bytes.insert(contentsOf: part, at: below(bytes.count))
        default:
            let other = inputs[below(inputs.count)]
            bytes.replaceSubrange(at..., with: other[min(other.count, below(other.count))...])
        }
    }

    /// A number at the border of what some type holds.
    private mutating func putNumber(_ bytes: inout [UInt8], _ at: Int) {
        let numbers: [UInt64] = [
            0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 0x7fff_ffff_ffff_ffff,
            .max, 1 << 40,
        ]
        let number = numbers[below(numbers.count)] &+ UInt64(below(3)) &- 1
        for index in 0..<min(1 << below(4), bytes.count - at) {
            bytes[at + index] = UInt8(truncatingIfNeeded: number >> (8 * UInt64(index)))
        }
    }
}
