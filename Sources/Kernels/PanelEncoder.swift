internal import TesseraCKernels

/// Encodes rows of a matrix as panels of an integer encoding. Formats/TSR.md §10.
public struct PanelEncoder: Sendable {
    /// Why rows could not be encoded.
    public enum Refusal: Error, Equatable {
        /// A value is infinite or not a number.
        case notFinite
        /// Values of a row, counted from the first that was given, are too large for a half-precision
        /// scale.
        case outOfRange(row: Int)
    }

    /// How far stored values are from the source's.
    public struct Distance: Sendable {
        /// Sum of (value - stored)^2; with feedback, of the inputs' share that stays.
        public var squaredError = 0.0
        /// Sum of value^2.
        public var squaredValue = 0.0

        public init() {}

        public static func += (sum: inout Distance, more: Distance) {
            sum.squaredError += more.squaredError
            sum.squaredValue += more.squaredValue
        }
    }

    public let encoding: Matrix.Encoding
    public let columns: Int
    private let candidates: Int
    private let feedback: ColumnFeedback?

    /// - Parameters:
    ///   - candidates: Starting points of the search for each scale; 0 takes the first.
    ///   - feedback: Where steps are given or scales are nested, how columns make up for each other's errors; finished.
    /// - Precondition: An encoding of integers.
    public init(
        encoding: Matrix.Encoding, columns: Int, candidates: Int, feedback: ColumnFeedback? = nil
    ) {
        precondition(!encoding.isFloat && columns > 0, "\(columns) columns of \(encoding)")
        precondition(feedback.map { $0.columns == columns } ?? true, "feedback of other columns")
        self.feedback = feedback
        self.encoding = encoding
        self.columns = columns
        self.candidates = candidates
    }

    public var panelBytes: Int { Matrix.panelBytes(encoding, columns: columns) }

    /// - Parameters:
    ///   - values: `[rows, columns]`.
    ///   - steps: `[rows]`, half-precision numbers: the distance of a row's codes; empty: every group has
    ///     the scale that suits it best. Not for affine codes.
    /// - Returns: Whole panels.
    public func encode(
        _ values: [Float], rows: Int, steps: [Float] = []
    ) throws(Refusal) -> (bytes: [UInt8], distance: Distance) {
        precondition(rows > 0 && values.count >= rows * columns, "\(values.count) values")
        precondition(steps.isEmpty || steps.count >= rows && encoding != .int4Affine, "steps")
        let isFedBack = !steps.isEmpty || tsr_form(encoding.rawValue).factors > 0
        let panels = (rows + 15) / 16
        var bytes = [UInt8](repeating: 0, count: panels * panelBytes)
        var sums = (0.0, 0.0)
        var refused: (panel: Int, code: Int32)?
        unsafe values.withUnsafeBufferPointer { values in
            unsafe steps.withUnsafeBufferPointer { steps in
                unsafe bytes.withUnsafeMutableBufferPointer { bytes in
                    for panel in 0..<panels where refused == nil {
                        // Safe: the panel's rows and bytes are within the arrays, as checked above.
                        var source = unsafe tsr_rows(
                            values: values.baseAddress! + panel * 16 * columns,
                            rows: min(16, rows - panel * 16), columns: columns,
                            encoding: encoding.rawValue, candidates: candidates,
                            steps: steps.isEmpty ? nil : steps.baseAddress! + panel * 16,
                            feedback: isFedBack ? feedback?.values.pointer : nil,
                            gains: feedback?.gains.pointer, block: feedback?.block ?? 0)
                        let code = unsafe withUnsafeMutablePointer(to: &sums) { sums in
                            unsafe sums.withMemoryRebound(to: Double.self, capacity: 2) {
                                unsafe tsr_encode_panel(
                                    &source, bytes.baseAddress! + panel * panelBytes, $0)
                            }
                        }
                        if Int(code) != Int(TSR_ENCODED) { refused = (panel, code) }
                    }
                }
            }
        }
        if let refused {
            guard refused.code >= 0 else { throw .notFinite }
            throw .outOfRange(row: refused.panel * 16 + Int(refused.code))
        }
        var distance = Distance()
        (distance.squaredError, distance.squaredValue) = sums
        return (bytes, distance)
    }
}
