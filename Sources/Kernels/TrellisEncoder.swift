internal import TesseraCKernels

/// How a tile of storage class 4 is made: bits per code, and the values codes stand for.
public struct Trellis: Sendable, Equatable {
    /// Half bits per code that there are.
    public static let rates = Int(TSR_TRELLIS_MIN_RATE)...Int(TSR_TRELLIS_MAX_RATE)

    /// Half bits per code.
    public let rate: Int
    /// Bits per code.
    public var bits: Double { Double(rate) / 2 }
    /// The table of every tile, `[128]`.
    public let codes: [UInt8]
    /// What a code's distance from 128 is multiplied by, in units of a row's deviation.
    public let unit: Float

    /// Values that training takes together.
    public static let trainingUnit = 512

    /// The table for a normal distribution.
    public static func standard(rate: Int) -> Trellis { standard[rate - rates.lowerBound] }

    /// The standard tables by rate.
    private static let standard = rates.map { rate in
        var table = tsr_trellis_table()
        let isDone = unsafe tsr_trellis_standard(UInt32(rate), &table)
        precondition(isDone, "no memory to make a table")
        return Trellis(rate: rate, table)
    }

    /// The table that suits `values`: that of a normal distribution, made better for them.
    ///
    /// - Parameter values: Turned, divided by the deviations of their rows; as many as a multiple of
    ///   `trainingUnit`.
    public init(rate: Int, values: [Float]) {
        precondition(
            Self.rates.contains(rate) && !values.isEmpty
                && values.count % Self.trainingUnit == 0, "\(values.count) values, rate \(rate)")
        var table = Self.standard[rate - Self.rates.lowerBound].raw
        let isDone = unsafe tsr_trellis_train(values, values.count, UInt32(rate), &table)
        precondition(isDone, "no memory to train a table")
        self.init(rate: rate, table)
    }

    private init(rate: Int, _ table: tsr_trellis_table) {
        self.rate = rate
        unit = table.unit
        codes = unsafe withUnsafeBytes(of: table.codes) { unsafe Array($0) }
    }

    var raw: tsr_trellis_table {
        var table = tsr_trellis_table()
        table.unit = unit
        unsafe withUnsafeMutableBytes(of: &table.codes) { unsafe $0.copyBytes(from: codes) }
        return table
    }

    /// - Parameters:
    ///   - values: `[rows, columns]` of one tile, turned (``turnRows(_:columns:)``).
    ///   - feedback: How columns make up for each other's errors; finished.
    /// - Returns: The tile as it is stored. Formats/TSR.md §9.
    public func encode(
        _ values: [Float], rows: Int, columns: Int, feedback: ColumnFeedback? = nil
    ) throws(PanelEncoder.Refusal) -> (tile: [UInt8], distance: PanelEncoder.Distance) {
        precondition(rows > 0 && columns > 0 && values.count >= rows * columns, "too few values")
        precondition(feedback.map { $0.columns == columns } ?? true, "feedback of other columns")
        var sums = (0.0, 0.0)
        var size = 0
        var tile: [UInt8] = []
        let code = unsafe withUnsafePointer(to: raw) { table in
            unsafe values.withUnsafeBufferPointer { values in
                var source = unsafe tsr_trellis_rows(
                    values: values.baseAddress!, rows: rows, columns: columns, rate: UInt32(rate),
                    table: table, feedback: feedback?.values.pointer,
                    gains: feedback?.gains.pointer, block: feedback?.block ?? 0)
                tile = [UInt8](repeating: 0, count: unsafe tsr_trellis_bound(&source))
                return unsafe withUnsafeMutablePointer(to: &sums) { sums in
                    unsafe sums.withMemoryRebound(to: Double.self, capacity: 2) {
                        unsafe tsr_trellis_encode(&source, &tile, &size, $0)
                    }
                }
            }
        }
        switch Int(code) {
        case Int(TSR_ENCODED): break
        case Int(TSR_NOT_FINITE): throw .notFinite
        case Int(TSR_NO_MEMORY): preconditionFailure("no memory to encode \(rows) rows")
        default: throw .outOfRange(row: Int(code))
        }
        tile.removeLast(tile.count - size)
        var distance = PanelEncoder.Distance()
        (distance.squaredError, distance.squaredValue) = sums
        return (tile, distance)
    }
}
