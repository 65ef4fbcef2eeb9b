internal import TesseraImport
internal import TesseraKernels

extension SourceBlocks {
    /// Codes of q8_0 without -128 (here 0), which the format lacks. A group that has it keeps its values where all
    /// codes are even, or the scale is zero; else it is rounded anew, 128 steps becoming 127.
    ///
    /// - Returns: Groups that were rounded, and how far their values are from the source's.
    mutating func leaveOutLowestCode() -> (groups: Int, distance: PanelEncoder.Distance) {
        var (rounded, distance) = (0, PanelEncoder.Distance())
        for group in scales.indices {
            let range = group * 32..<group * 32 + 32
            guard codes[range].contains(0), !halve(group, range) else { continue }
            round(group, range, &distance)
            rounded += 1
        }
        return (rounded, distance)
    }

    /// The same values by codes half as large; false if there are none.
    private mutating func halve(_ group: Int, _ range: Range<Int>) -> Bool {
        let doubled = 2 * scales[group]
        guard codes[range].allSatisfy({ $0 % 2 == 0 }), doubled.isFinite else { return false }
        scales[group] = doubled
        for index in range { codes[index] = 64 + codes[index] / 2 }
        return true
    }

    private mutating func round(
        _ group: Int, _ range: Range<Int>, _ distance: inout PanelEncoder.Distance
    ) {
        let before = Float(scales[group])
        scales[group] = Float16(before * 128 / 127)
        if !scales[group].isFinite {
            scales[group] = before < 0 ? -.greatestFiniteMagnitude : .greatestFiniteMagnitude
        }
        let after = Float(scales[group])
        for index in range {
            let value = before * Float(Int(codes[index]) - 128)
            let code = after == 0 ? 0 : min(max((value / after).rounded(), -127), 127)
            codes[index] = UInt8(128 + Int(code))
            let error = Double(value - after * code)
            distance.squaredError += error * error
            distance.squaredValue += Double(value) * Double(value)
        }
    }
}
