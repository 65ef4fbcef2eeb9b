internal import TesseraImport
public import TesseraKernels
internal import TesseraWeightFile

/// How the tiles of a matrix share its bits.
public struct TrellisMix: Sendable, Equatable {
    /// A trellis of each rate, fewest bits first.
    public let trellises: [Trellis]
    /// Which of them codes each tile; empty: the first codes all.
    public let choices: [UInt8]

    init(_ trellises: [Trellis], choices: [UInt8] = []) {
        self.trellises = trellises
        self.choices = choices
    }

    func trellis(ofTile tile: Int) -> Trellis {
        trellises[choices.isEmpty ? 0 : Int(choices[tile])]
    }

    /// Bits per code: the mean over tiles.
    public var bits: Double {
        guard !choices.isEmpty else { return trellises[0].bits }
        return choices.reduce(0) { $0 + trellises[Int($1)].bits } / Double(choices.count)
    }
}

/// What each tile of a matrix holds.
struct TileShares: Sendable {
    struct Tile: Sendable {
        var weights: Double
        /// Sum of the squares of its weights: what they add to products.
        var squares: Double
        /// How often its rows matter.
        var frequency = 1.0
    }

    private let tiles: [Tile]

    init(_ tiles: [Tile]) { self.tiles = tiles }

    /// Reads the whole tensor.
    init(_ tensor: SourceTensor, of source: any TensorSource) throws {
        let step = TensorSpec(
            name: tensor.name, rows: tensor.rows, columns: tensor.columns, encoding: .int8,
            storage: .trellis
        ).tileRows
        let frequency = RowFrequency(tensor, source.config)
        tiles = try stride(from: 0, to: tensor.rows, by: step).map { first in
            let rows = first..<min(first + step, tensor.rows)
            var values = [Float](repeating: 0, count: rows.count * tensor.columns)
            try source.read(tensor, rows: rows, into: &values)
            return Tile(
                weights: Double(values.count),
                squares: values.reduce(0.0) { $0 + Double($1) * Double($1) },
                frequency: frequency(rows.lowerBound + rows.count / 2))
        }
    }

    /// Mixtures of the ways to code the matrix, cheapest first: each next one codes those tiles better that gain most by it.
    ///
    /// - Parameter ways: Ways to store all tiles alike, cheapest first; from one to the next the errors fall less and less.
    func mixtures(_ ways: [RateCurve.Point]) -> [RateCurve.Point] {
        let trellises = ways.compactMap { $0.trellis?.trellises[0] }
        let whole = tiles.reduce(into: Tile(weights: 0, squares: 0, frequency: 0)) {
            $0.weights += $1.weights
            $0.squares += $1.squares
            $0.frequency += $1.squares * $1.frequency
        }
        let steps = ways.indices.dropLast().flatMap { way in
            let saved = ways[way].error - ways[way + 1].error
            let gain = saved / (ways[way + 1].cost - ways[way].cost)
            return tiles.indices.map { tile in
                let part = tiles[tile]
                return (tile: tile, gain: gain * part.squares * part.frequency / part.weights)
            }
        }
        // The first of equal gains comes first, so that the order does not depend on the sort.
        let order = steps.indices.sorted {
            steps[$0].gain == steps[$1].gain ? $0 < $1 : steps[$0].gain > steps[$1].gain
        }
        var choices = [UInt8](repeating: 0, count: tiles.count)
        var point = ways[0]
        var done = 0
        let count = min(order.count, 16 * (ways.count - 1))
        return (0...count).map { part in
            while done < part * order.count / count {
                let tile = steps[order[done]].tile
                let (from, to) = (ways[Int(choices[tile])], ways[Int(choices[tile]) + 1])
                let squares = tiles[tile].squares
                choices[tile] += 1
                done += 1
                point.cost += tiles[tile].weights / whole.weights * (to.cost - from.cost)
                guard squares > 0 else { continue }
                point.error += squares / whole.squares * (to.error - from.error)
                point.loss +=
                    squares * tiles[tile].frequency / whole.frequency * (to.error - from.error)
            }
            point.trellis = TrellisMix(trellises, choices: choices)
            return point
        }
    }
}
