import TesseraCKernels
import Foundation
import Testing

@testable import TesseraKernels

/// The values of a cache's bytes, read by the layout that Sources/CKernels/place.c writes, and attention over them
/// in double precision.
struct HeldCache {
    /// Keys or values, `[kvHeads, slots, headDim]`.
    struct Rows {
        /// As they were stored.
        var plain: [Double] = []
        /// As they are multiplied: after the Hadamard transform where the cache holds codes.
        var turned: [Double] = []
        /// Scales of the codes, `[kvHeads, slots]`; 0 if there are none.
        var scales: [Double] = []
    }

    let layer: KVLayer
    let keys: Rows
    let values: Rows

    init(_ layer: KVLayer) {
        self.layer = layer
        keys = Self.rows(layer, areKeys: true)
        values = Self.rows(layer, areKeys: false)
    }

    private static func rows(_ layer: KVLayer, areKeys: Bool) -> Rows {
        let (bytes, dim) = (areKeys ? layer.keys : layer.values, layer.headDim)
        let scales = areKeys ? layer.keyScales : layer.valueScales
        var (rows, row) = (Rows(), [Double](repeating: 0, count: dim))
        for head in 0..<layer.kvHeads {
            for slot in 0..<layer.slots {
                let at = (head * layer.slots + slot) * dim
                let place = head * tsr_padded_slots(layer.slots) + slot
                let scale = layer.encoding.hasCodes ? Double(scales[place]) : 0
                for i in 0..<dim {
                    switch layer.encoding {
                    case .f32: row[i] = Double(Float(bitPattern: word(bytes, (at + i) * 4, 4)))
                    case .f16:
                        let bits = UInt16(word(bytes, (at + i) * 2, 2))
                        row[i] = Double(Float16(bitPattern: bits))
                    case .int8, .int4:
                        row[i] = scale * Double(code(layer, bytes, place, i, isKey: areKeys))
                    }
                }
                rows.turned += row
                if layer.encoding.hasCodes { hadamard(&row) }
                rows.plain += row
                rows.scales.append(scale)
            }
        }
        return rows
    }

    private static func word(_ bytes: Buffer<UInt8>, _ at: Int, _ size: Int) -> UInt32 {
        var word: UInt32 = 0
        for index in 0..<size { word |= UInt32(bytes[at + index]) << (8 * UInt32(index)) }
        return word
    }

    /// Code `i` of the row at `place`: keys lie in lines of 16 slots by 4 columns, values in those of 16 columns by 4
    /// slots. Each byte of a 4-bit cache has the codes of two slots that are 16 apart.
    private static func code(
        _ layer: KVLayer, _ bytes: Buffer<UInt8>, _ place: Int, _ i: Int, isKey: Bool
    ) -> Int {
        let isNarrow = layer.encoding == .int4
        let dim = tsr_padded_dim(layer.headDim)
        let slot = isNarrow ? place / 32 * 16 + place % 16 : place
        let line =
            isKey ? i / 4 * 64 + slot % 16 * 4 + i % 4 : slot % 16 / 4 * 4 * dim + slot % 4 + 4 * i
        let byte = Int(bytes[slot / 16 * 16 * dim + line])
        guard isNarrow else { return byte - 128 }
        return (place % 32 < 16 ? (byte << 4) & 0xF0 : byte & 0xF0) - 128
    }

    /// The transform is its own inverse. A block is as long as the largest power of two that divides the count.
    private static func hadamard(_ x: inout [Double]) {
        let block = x.count & -x.count
        let factor = 1 / Double(block).squareRoot()
        var width = 1
        while width < block {
            for i in 0..<x.count where i & width == 0 {
                (x[i], x[i + width]) = (x[i] + x[i + width], x[i] - x[i + width])
            }
            width *= 2
        }
        for i in 0..<x.count { x[i] *= factor }
    }

    // MARK: Storing

    /// Expects each row as near to the stored one as its encoding is fine. Row `token` of `stored`, keys and then
    /// values, went to slot `order[token]`.
    func expectNear(_ stored: Buffer<Float>, order: Buffer<Int32>, kvWidth: Int) {
        for head in 0..<layer.kvHeads {
            for token in 0..<order.count {
                let row = head * layer.slots + Int(order[token])
                for (rows, start) in [(keys, 0), (values, kvWidth)] {
                    var (error, square) = (0.0, 0.0)
                    for i in 0..<layer.headDim {
                        let at = token * 2 * kvWidth + start + head * layer.headDim + i
                        let difference = Double(stored[at]) - rows.plain[row * layer.headDim + i]
                        error += difference * difference
                        square += Double(stored[at]) * Double(stored[at])
                    }
                    let bound = squaredError(scale: rows.scales[row]) + 1e-12 * square
                    guard error <= bound else {
                        Issue.record(
                            "\(layer.encoding), head \(head), slot \(order[token]): \(error), at most \(bound)"
                        )
                        return
                    }
                }
            }
        }
    }

    /// The most that rounding takes from a row.
    private func squaredError(scale: Double) -> Double {
        let count = Double(layer.headDim)
        switch layer.encoding {
        case .f32: return 0
        case .f16: return count * pow(0x1p-11, 2)  // values of at most 2
        case .int8: return count * pow(scale / 2, 2) * 1.01
        // Half a step each, or less where the largest values are cut off.
        case .int4: return count * pow(16 * scale / 2, 2) * 1.5
        }
    }

    // MARK: Attention

    /// Attention of one query over `slots`, and how far off each value of the result may be: queries and weights have
    /// codes of at most 32639 over a cache of codes, and sums are rounded.
    func attend(
        _ query: [Double], head: Int, slots: [Int], scale: Double
    ) -> (output: [Double], bounds: [Double]) {
        let (dim, hasCodes) = (layer.headDim, layer.encoding.hasCodes)
        var turned = query
        if hasCodes { Self.hadamard(&turned) }
        let step = hasCodes ? turned.reduce(0) { max($0, abs($1)) } / 32639 : 0
        let rounding = Double(dim + 16) * 0x1p-24
        var weights: [Double] = []
        var doubts: [Double] = []
        for slot in slots {
            let row = (head * layer.slots + slot) * dim
            var (score, size, reach) = (0.0, 0.0, 0.0)
            for i in 0..<dim {
                let key = keys.turned[row + i]
                score += turned[i] * key
                size += abs(turned[i] * key)
                reach += abs(key)
            }
            weights.append(score * scale)
            doubts.append(scale * (step / 2 * reach + rounding * size) + 8 * 0x1p-24)
        }
        let best = weights.max() ?? 0
        for index in weights.indices { weights[index] = exp(weights[index] - best) }
        let sum = weights.reduce(0, +)
        var (most, output) = (0.0, [Double](repeating: 0, count: dim))
        for (slot, weight) in zip(slots, weights) {
            let row = head * layer.slots + slot
            most = max(most, weight * values.scales[row])
            for i in 0..<dim { output[i] += weight / sum * values.plain[row * dim + i] }
        }
        var bounds = [Double](repeating: 1e-6, count: dim)
        for (index, slot) in slots.enumerated() {
            let (row, share) = (head * layer.slots + slot, weights[index] / sum)
            let code = hasCodes ? most / 32639 / 2 / values.scales[row] / sum : 0
            for i in 0..<dim {
                let value = values.plain[row * dim + i]
                bounds[i] += share * doubts[index] * abs(value - output[i])
                bounds[i] += (code + rounding * share) * abs(value)
            }
        }
        return (output, bounds)
    }
}
