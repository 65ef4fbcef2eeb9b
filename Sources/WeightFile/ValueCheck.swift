/// Finds what no writer may store: infinities, NaNs and the int8 code 0. Rule 36.
struct ValueCheck {
    private let encoding: TensorEncoding
    private let panelBytes: Int
    /// Bytes in front of a panel's codes.
    private let planesBytes: Int
    /// Where a panel's half-precision numbers are.
    private let numbers: [Range<Int>]

    /// - Precondition: `tensor` was validated.
    init(_ tensor: TensorRecord) {
        encoding = tensor.encoding
        panelBytes = TensorRecord.panelBytes(encoding: encoding, columns: tensor.columns)
        planesBytes = encoding.planesBytes(columns: tensor.columns) ?? 0
        numbers =
            encoding.rowsPerPanel > 1 ? encoding.numberRanges(columns: tensor.columns) : []
    }

    /// The byte in `tile` (whole panels) where the first bad value stands.
    func firstBad(in tile: RawSpan) -> Int? {
        switch encoding {
        case .f32: return Lanes.nonFinite32.first(in: tile, 0..<tile.byteCount)
        case .f16: return Lanes.nonFinite16.first(in: tile, 0..<tile.byteCount)
        default:
            for start in stride(from: 0, to: tile.byteCount, by: panelBytes) {
                if let bad = firstBad(in: tile, panel: start) { return bad }
            }
            return nil
        }
    }

    private func firstBad(in tile: RawSpan, panel start: Int) -> Int? {
        for range in numbers {
            let place = start + range.lowerBound..<start + range.upperBound
            if let bad = Lanes.nonFinite16.first(in: tile, place) { return bad }
        }
        guard encoding == .int8 else { return nil }
        return Lanes.zeroByte.first(in: tile, start + planesBytes..<start + panelBytes)
    }
}

extension RawSpan {
    /// Whether all numbers of `range` are finite.
    ///
    /// - Parameter half: They are halves, else floats.
    package func isFinite(in range: Range<Int>, half: Bool) -> Bool {
        (half ? Lanes.nonFinite16 : Lanes.nonFinite32).first(in: self, range) == nil
    }
}

/// Searches a run of equal-sized lanes for one whose bits under `mask` are all as in `bad`, eight
/// bytes at a time.
private struct Lanes {
    let mask: UInt64
    let bad: UInt64
    /// The lowest and the highest bit of each lane.
    let low: UInt64
    let high: UInt64
    let bits: Int

    /// fp16 infinities and NaNs: an exponent of all ones.
    static let nonFinite16 = Lanes(
        mask: 0x7C00_7C00_7C00_7C00, bad: 0x7C00_7C00_7C00_7C00, low: 0x0001_0001_0001_0001,
        high: 0x8000_8000_8000_8000, bits: 16)
    /// The same in binary32.
    static let nonFinite32 = Lanes(
        mask: 0x7F80_0000_7F80_0000, bad: 0x7F80_0000_7F80_0000, low: 0x0000_0001_0000_0001,
        high: 0x8000_0000_8000_0000, bits: 32)
    static let zeroByte = Lanes(
        mask: .max, bad: 0, low: 0x0101_0101_0101_0101, high: 0x8080_8080_8080_8080, bits: 8)

    /// Offset of the first such lane in `range`, which holds whole lanes.
    func first(in bytes: RawSpan, _ range: Range<Int>) -> Int? {
        var offset = range.lowerBound
        while range.upperBound - offset >= 8 {
            if let lane = first(in: bytes.u64(at: offset)) { return offset + lane }
            offset += 8
        }
        // Lanes beyond the end are filled so that they are not bad.
        var word = bad == 0 ? UInt64.max : 0
        for index in 0..<range.upperBound - offset {
            let shift = UInt64(8 * index)
            word = word & ~(0xFF << shift) | UInt64(bytes.u8(at: offset + index)) << shift
        }
        return first(in: word).map { offset + $0 }
    }

    /// Byte of the first bad lane: a zero lane of the difference borrows from its highest bit. Only
    /// lanes above a true one can be flagged falsely, so the lowest flag is right.
    @inline(__always)
    private func first(in word: UInt64) -> Int? {
        let difference = (word & mask) ^ bad
        let flags = (difference &- low) & ~difference & high
        return flags == 0 ? nil : flags.trailingZeroBitCount / bits * bits / 8
    }
}
