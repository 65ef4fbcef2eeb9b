internal import TesseraImport
internal import TesseraKernels
internal import TesseraWeightFile

/// What trellises cost and lose. A search takes long, and rows that are turned are all alike: two rates are searched, and
/// the others follow from what they lose of a normal distribution.
extension TileSample {
    /// Half bits per code that are searched.
    private static let searched = [4, 8]

    /// Trellises of every rate, with tables for a normal distribution, and mixtures of two.
    func trellises(feedback: ColumnFeedback?, shares: TileShares) throws -> RateCurve {
        let found = try Self.searched.map { try search(.standard(rate: $0), feedback) }
        let normal = Self.normalErrors
        let ratios = zip(Self.searched, found).map { rate, way in
            max(way.error, 1e-12) / normal[rate - Trellis.rates.lowerBound]
        }
        let ways = Trellis.rates.map { rate in
            let (low, high) = (Self.searched[0], Self.searched[1])
            let part = Double(min(max(rate, low), high) - low) / Double(high - low)
            let ratio = ratios[0] * pow2(part * log2(ratios[1] / ratios[0]))
            let error = min(1, ratio * normal[rate - Trellis.rates.lowerBound])
            let cost =
                found[0].cost + Double(rate - low) * (found[1].cost - found[0].cost)
                / Double(high - low)
            return RateCurve.Point(
                encoding: .int8, storage: .trellis, step: 0, cost: cost, error: error, loss: error,
                trellis: TrellisMix([.standard(rate: rate)]))
        }
        return RateCurve(deviation: deviation, of: shares.mixtures(ways))
    }

    /// The same mixture with tables made for these values, where its tiles use them.
    func trained(_ mix: TrellisMix) -> TrellisMix {
        let values = trainingValues()
        let used = mix.choices.isEmpty ? [0] : Set(mix.choices.map(Int.init))
        return TrellisMix(
            mix.trellises.enumerated().map { index, trellis in
                used.contains(index) ? Trellis(rate: trellis.rate, values: values) : trellis
            }, choices: mix.choices)
    }

    private func search(_ trellis: Trellis, _ feedback: ColumnFeedback?) throws -> (
        cost: Double, error: Double
    ) {
        let packer = PanelPacker(
            tensor: tensor, encoding: .int8, candidates: 0, feedback: feedback,
            trellis: TrellisMix([trellis]))
        var sizes: [Int] = []
        var distance = PanelEncoder.Distance()
        for piece in pieces {
            let packed = try packer.packTiles(piece.values, rows: piece.rows)
            sizes.append(packed.tiles.reduce(0) { $0 + $1.count })
            distance += packed.distance
        }
        let value = distance.squaredValue
        return (trellisCost(sizes), value > 0 ? distance.squaredError / value : 0)
    }

    /// Squared error over squared value of a normal distribution, by rate.
    private static let normalErrors: [Double] = {
        let (rows, columns) = (16, 2048)
        var state: UInt64 = 1
        let values = (0..<rows * columns).map { _ -> Float in
            (0..<12).reduce(into: Float(-6)) { sum, _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                sum += Float(state >> 40) / Float(1 << 24)
            }
        }
        return Trellis.rates.map { rate in
            let way = Trellis.standard(rate: rate)
            guard let found = try? way.encode(values, rows: rows, columns: columns) else {
                return 1
            }
            return found.distance.squaredError / found.distance.squaredValue
        }
    }()

    /// Bytes per weight of whole tiles, whose size is a line over rows, from those of the pieces.
    private func trellisCost(_ sizes: [Int]) -> Double {
        let tile = TensorSpec(
            name: tensor.name, rows: tensor.rows, columns: tensor.columns, encoding: .int8,
            storage: .trellis
        ).tileRows
        let rows = pieces.map { $0.rows.count }
        let slope =
            rows[1] > rows[0]
            ? Double(sizes[1] - sizes[0]) / Double(rows[1] - rows[0])
            : Double(sizes[0]) / Double(rows[0])
        let whole = Double(sizes[0]) + slope * Double(tile - rows[0])
        return (whole + Double(TensorRecord.tileEntryBytes)) / Double(tile * tensor.columns)
    }

    /// Values to train tables with, from all pieces alike, turned and divided by the deviations of their rows.
    private func trainingValues() -> [Float] {
        let wanted = 1 << 15
        var values: [Float] = []
        values.reserveCapacity(wanted)
        let rows = pieces.reduce(0) { $0 + $1.rows.count }
        let every = max(1, rows * tensor.columns / wanted)
        var row = 0
        for piece in pieces {
            for index in 0..<piece.rows.count {
                defer { row += 1 }
                guard row % every == 0 else { continue }
                var part = Array(
                    piece.values[index * tensor.columns..<(index + 1) * tensor.columns])
                turnRows(&part, columns: tensor.columns)
                let square = part.reduce(0.0) { $0 + Double($1) * Double($1) }
                let deviation = Float((square / Double(tensor.columns)).squareRoot())
                guard deviation > 0, deviation.isFinite else { continue }
                values += part.map { $0 / deviation }
            }
        }
        let unit = Trellis.trainingUnit
        let whole = values.count / unit * unit
        // Too little to learn from, or nothing but zeros: any table will do.
        return whole > 0 ? Array(values[..<whole]) : [Float](repeating: 0, count: unit)
    }
}
