/// How the values of a tensor are coded. Byte layouts: Formats/TSR.md §10.
public enum TensorEncoding: UInt32, Sendable, CaseIterable {
    /// Row-major IEEE binary32.
    case f32 = 1
    /// Row-major IEEE binary16.
    case f16 = 2
    /// 16-row panels, groups of 32 columns: value = scale (code - 128).
    case int8 = 3
    /// 16-row panels, groups of 32 columns: value = scale (code - 8).
    case int4 = 4
    /// 16-row panels, groups of 32 columns: value = scale code + minimum.
    case int4Affine = 5

    /// Rows of one panel.
    public static let panelRows = 16
    /// Columns that share a scale.
    public static let groupColumns = 32
}
