internal import TesseraCKernels

/// How the values of a tensor are coded. Byte layouts: Formats/TSR.md §10.
public enum TensorEncoding: UInt32, Sendable, CaseIterable {
    /// Row-major IEEE binary32.
    case f32 = 1
    /// Row-major IEEE binary16.
    case f16 = 2
    /// 16-row panels, groups of 32 columns: value = scale (code - 128).
    case int8 = 3
    /// The same: value = scale (code - 8).
    case int4 = 4
    /// The same: value = scale code + minimum.
    case int4Affine = 5
    /// Value = scale (code - 16).
    case int5 = 6
    /// Value = scale code + minimum.
    case int5Affine = 7
    /// Scales and minimums of 16 columns are 4-bit integers times factors of 256 columns.
    case int2Nested = 8
    /// Scales of 16 columns are 8-bit integers times a factor of 256 columns.
    case int3Nested = 9
    /// Scales and minimums of 32 columns are 8-bit integers times factors of 256 columns.
    case int4Nested = 10
    /// As in `int4Nested`.
    case int5Nested = 11
    /// As in `int3Nested`.
    case int6Nested = 12

    /// Rows of one panel.
    public static let panelRows = 16
    /// Columns that share a scale.
    public static let groupColumns = 32

    /// How a panel lies; not for f32 and f16.
    private var form: tsr_panel_form { tsr_form(rawValue) }
    private var isFloat: Bool { self == .f32 || self == .f16 }

    /// Rows of one panel: 16, or 1 for f32 and f16.
    public var rowsPerPanel: Int { isFloat ? 1 : Self.panelRows }

    /// Bits of a code; 0 for f32 and f16.
    public var codeBits: Int { isFloat ? 0 : Int(form.bits) }

    /// The one whose scales are integers times factors of super-groups; nil if there is none of this many bits.
    public static func nested(bits: Int) -> TensorEncoding? {
        allCases.first { !$0.isFloat && $0.form.factors > 0 && $0.codeBits == bits }
    }

    /// Whether its tiles may be coded.
    public var isCodable: Bool { self == .int8 || self == .int4 || self == .int4Affine }

    /// Groups of a row; nil past `Int.max`.
    private func groups(_ columns: Int) -> Int? {
        roundUp(columns, to: Self.groupColumns).map { $0 / Self.groupColumns }
    }

    /// Bytes of a plane that has 32 for each group, padded; nil past `Int.max`.
    private func planeBytes(_ columns: Int) -> Int? {
        groups(columns).flatMap { product($0, 32) }.flatMap { roundUp($0, to: 64) }
    }

    /// Bytes of the factors of a row's groups, without padding; 0 if there are none.
    private func factorBytes(_ columns: Int) -> Int? {
        groups(columns).flatMap { roundUp($0, to: Int(TSR_SUPER_GROUP)) }
            .flatMap { product($0 / Int(TSR_SUPER_GROUP), 32 * Int(form.factors)) }
    }

    /// Bytes in front of the codes of a panel; 0 for f32 and f16; nil past `Int.max`.
    func planesBytes(columns: Int) -> Int? {
        guard !isFloat else { return 0 }
        guard let plane = planeBytes(columns) else { return nil }
        guard form.factors > 0 else { return product(plane, Int(form.planes)) }
        return factorBytes(columns).flatMap { roundUp($0, to: 64) }.flatMap { sum(plane, $0) }
    }

    /// Where the half-precision numbers of a panel are, padding left out.
    ///
    /// - Precondition: A panel fits an Int, and the encoding is one of integers.
    func numberRanges(columns: Int) -> [Range<Int>] {
        guard let plane = planeBytes(columns), let groups = groups(columns) else { return [] }
        guard form.factors > 0 else {
            return (0..<Int(form.planes)).map { $0 * plane..<$0 * plane + groups * 32 }
        }
        return factorBytes(columns).map { [plane..<plane + $0] } ?? []
    }

    /// Bytes of one panel (f32, f16: one row), nil past `Int.max`.
    func panelBytes(columns: Int) -> Int? {
        switch self {
        case .f32: return product(columns, 4)
        case .f16: return product(columns, 2)
        default:
            guard let planes = planesBytes(columns: columns),
                let codes = groups(columns).flatMap({ product($0, 64 * codeBits) })
            else { return nil }
            return sum(planes, codes)
        }
    }

    /// Bytes of a plain tensor, nil past `Int.max`.
    func byteCount(rows: Int, columns: Int) -> Int? {
        guard let panels = roundUp(rows, to: rowsPerPanel).map({ $0 / rowsPerPanel }),
            let bytes = panelBytes(columns: columns)
        else { return nil }
        return product(panels, bytes)
    }
}

extension TensorEncoding: CustomStringConvertible {
    /// As in Formats/TSR.md, such as `int4Affine`.
    public var description: String {
        switch self {
        case .f32: "f32"
        case .f16: "f16"
        case .int8: "int8"
        case .int4: "int4"
        case .int4Affine: "int4Affine"
        case .int5: "int5"
        case .int5Affine: "int5Affine"
        case .int2Nested: "int2Nested"
        case .int3Nested: "int3Nested"
        case .int4Nested: "int4Nested"
        case .int5Nested: "int5Nested"
        case .int6Nested: "int6Nested"
        }
    }
}
