internal import TesseraImport
internal import TesseraKernels
internal import TesseraWeightFile

/// Costs and losses of the ways to code a matrix, measured on a sample of its tiles.
struct RateCurve: Sendable {
    /// One way to store the matrix.
    struct Point: Sendable, Equatable {
        var encoding: TensorEncoding
        var storage = StorageClass.zstd
        /// Step over deviation.
        var step: Double
        /// Stored bytes per weight, the tile table's part included.
        var cost: Double
        /// Squared error over squared value.
        var error: Double
        /// The same, but errors of frequent rows count more.
        var loss: Double
        /// Instead of a step.
        var trellis: TrellisMix?
    }

    /// Steps over deviation that are measured, as powers of two: where they are fine, a bit more halves the error.
    private static let (coarse, fine) = ([1, 0.5, 0, -0.5, -1, -1.5, -2], [-3.0, -4, -5, -6, -7])

    /// Root of the mean square of the sample's values.
    var deviation: Float
    /// By encoding, steps falling: as measured.
    private(set) var measured: [[Point]]

    /// The ways between those measured too, for which cost and the logarithms of step and error are
    /// interpolated.
    var points: [Point] {
        let parts = 16
        return measured.flatMap { ladder in
            ladder.indices.dropLast().flatMap { index in
                let (a, b) = (ladder[index], ladder[index + 1])
                return (0..<parts).map { part -> Point in
                    let t = Double(part) / Double(parts)
                    func geometric(_ x: Double, _ y: Double) -> Double {
                        x > 0 && y > 0 ? x * pow2(t * log2(y / x)) : x + t * (y - x)
                    }
                    return Point(
                        encoding: a.encoding, storage: a.storage, step: geometric(a.step, b.step),
                        cost: a.cost + t * (b.cost - a.cost), error: geometric(a.error, b.error),
                        loss: geometric(a.loss, b.loss))
                }
            } + [ladder[ladder.count - 1]]
        }
    }

    /// - Parameter measure: The way of a step over deviation.
    init(
        deviation: Float,
        _ measure: (TensorEncoding, Double) throws -> Point
    ) rethrows {
        self.deviation = deviation
        measured = try [
            (TensorEncoding.int8, Self.coarse + Self.fine), (.int4, Array(Self.coarse.prefix(6))),
        ].map { encoding, powers in
            try powers.map { try measure(encoding, pow2($0)) }
        }
    }

    /// Ways without interpolation between them.
    init(deviation: Float, of points: [Point]) {
        self.deviation = deviation
        measured = points.map { [$0] }
    }

    /// Shifts all costs of one encoding so that the way nearest to `point` has its measured cost.
    mutating func correct(_ point: Point, cost: Double) {
        for ladder in measured.indices where measured[ladder][0].encoding == point.encoding {
            for index in measured[ladder].indices {
                measured[ladder][index].cost += cost - point.cost
            }
        }
    }
}

/// A part of a tensor's tiles, to measure on.
struct TileSample: Sendable {
    let tensor: SourceTensor
    /// Row-major values of each piece: whole tiles of every encoding.
    let pieces: [(values: [Float], rows: Range<Int>)]
    private let count: Int
    private let frequency: RowFrequency
    let deviation: Float

    /// Values of a sample, at least.
    private static let size = 1 << 18
    /// The same for plain codes, whose size is known.
    private static let plainSize = 1 << 17

    init(
        _ tensor: SourceTensor, of source: any TensorSource, storage: StorageClass
    ) throws {
        self.tensor = tensor
        frequency = RowFrequency(tensor, source.config)
        let tile = TensorSpec(
            name: tensor.name, rows: tensor.rows, columns: tensor.columns,
            encoding: storage == .trellis ? .int8 : .int4, storage: storage
        ).tileRows
        let tiles = (tensor.rows - 1) / tile + 1
        let wanted = min(tiles, max(tiles > 16 ? 4 : 2, Self.size / (tile * tensor.columns)))
        var ranges = (0..<wanted).map { index in
            let first = (2 * index + 1) * tiles / (2 * wanted) * tile
            return first..<min(first + tile, tensor.rows)
        }
        if storage == .plain {
            // Codes of a panel depend on no other.
            let panels = (tensor.rows - 1) / TensorEncoding.panelRows + 1
            let wanted = min(
                panels, max(8, Self.plainSize / (TensorEncoding.panelRows * tensor.columns)))
            ranges = (0..<wanted).map { index in
                let first = (2 * index + 1) * panels / (2 * wanted) * TensorEncoding.panelRows
                return first..<min(first + TensorEncoding.panelRows, tensor.rows)
            }
        }
        if storage == .trellis {
            // The search takes long: parts of two tiles, one twice as large as the other.
            let most = max(32, Self.size / 16 / tensor.columns / 32 * 32)
            ranges = [1, 2].map { part in
                let first = (2 * part - 1) * tiles / 4 * tile
                return first..<min(first + min(part * most, tile), tensor.rows)
            }
        }
        pieces = try ranges.map { rows in
            var values = [Float](repeating: 0, count: rows.count * tensor.columns)
            try source.read(tensor, rows: rows, into: &values)
            return (values, rows)
        }
        var (square, count) = (0.0, 0)
        for piece in pieces {
            count += piece.values.count
            for value in piece.values { square += Double(value) * Double(value) }
        }
        self.count = count
        deviation = Float((square / Double(count)).squareRoot())
    }

    /// Plain encodings of each number of bits, and the source's own codes.
    ///
    /// - Parameter candidates: Starting points of the search for each scale.
    func plainWays(candidates: Int, feedback: ColumnFeedback?) throws -> RateCurve {
        let encodings: [TensorEncoding] = [
            .int3Nested, .int4Nested, .int5Nested, .int6Nested, .int8,
        ]
        var ways = try encodings.map {
            try measure($0, storage: .plain, step: 0, feedback: feedback, candidates: candidates)
        }
        if let found = tensor.type.codeEncoding {
            ways.removeAll { $0.encoding == found }
            ways.append(
                RateCurve.Point(
                    encoding: found, storage: .plain, step: 0, cost: bytesPerWeight(found),
                    error: 0, loss: 0))
        }
        return RateCurve(deviation: deviation, of: ways)
    }

    private func bytesPerWeight(_ encoding: TensorEncoding) -> Double {
        let bytes = TensorRecord.byteCount(
            encoding: encoding, rows: tensor.rows, columns: tensor.columns)
        return Double(bytes) / (Double(tensor.rows) * Double(tensor.columns))
    }

    /// Cost and loss of a step over deviation. For plain codes, which have a scale for each group, only the encoding counts.
    func measure(
        _ encoding: TensorEncoding, storage: StorageClass, step: Double,
        feedback: ColumnFeedback? = nil, candidates: Int = 0
    ) throws -> RateCurve.Point {
        let isPlain = storage == .plain
        let packer = PanelPacker(
            tensor: tensor, encoding: encoding, candidates: candidates,
            steps: isPlain
                ? nil
                : UniformSteps(
                    step: Float(step) * deviation, deviation: deviation, frequency: frequency),
            feedback: feedback)
        let coder =
            isPlain
            ? nil : TileCoder(encoding: encoding, storage: storage, columns: tensor.columns)
        let tile = TensorSpec(
            name: tensor.name, rows: tensor.rows, columns: tensor.columns, encoding: encoding
        ).tileRows
        var bytes = 0
        var distance = PanelEncoder.Distance()
        var (loss, most) = (0.0, 0.0)
        for piece in pieces {
            var row = 0
            while row < piece.rows.count {
                let end = min(row + tile, piece.rows.count)
                let part = try packer.pack(
                    Array(piece.values[row * tensor.columns..<end * tensor.columns]),
                    rows: piece.rows.lowerBound + row..<piece.rows.lowerBound + end)
                if let coder {
                    bytes += coder.encode(part.bytes).count + TensorRecord.tileEntryBytes
                }
                distance += part.distance
                let weight = frequency(piece.rows.lowerBound + (row + end) / 2)
                loss += weight * part.distance.squaredError
                most += weight * part.distance.squaredValue
                row = end
            }
        }
        let value = distance.squaredValue
        return RateCurve.Point(
            encoding: encoding, storage: storage, step: step,
            cost: isPlain ? bytesPerWeight(encoding) : Double(bytes) / Double(count),
            error: value > 0 ? distance.squaredError / value : 0, loss: most > 0 ? loss / most : 0)
    }
}
