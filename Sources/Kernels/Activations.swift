internal import TesseraCKernels

/// Activations `[tokens, columns]` as floats, and as 8-bit codes with one scale per token and group of 32
/// columns. Matrices of floats multiply the first, integer matrices the second: turned ones (``Matrix/Form``) codes of
/// the turned values, which are made from the floats as well.
///
/// One group in eight, those whose rounding steps are largest, is coded twice: the second codes say
/// what the first left. A few outlying values make most of the error of 8-bit activations; this takes
/// three quarters of the divergence away for an eighth more multiplications.
@safe public final class Activations: @unchecked Sendable {
    public let tokenCapacity: Int
    public let columns: Int
    /// What codes there are.
    public let forms: Matrix.Forms
    /// `[tokens, paddedColumns]`; padding is zero.
    public let values: Buffer<Float>
    public let paddedColumns: Int
    /// Codes of the values, and of the turned values; empty where that form is not wanted.
    private let straight: Terms
    private let turned: Terms
    private let turnedValues: Buffer<Float>
    /// What kernels take as the turned form.
    private let turnedPlace: Buffer<tsr_activations>
    /// Tokens whose terms are listed as panel kernels need them; 0: none, the values are new.
    var listed = 0

    public init(tokenCapacity: Int, columns: Int, forms: Matrix.Forms = .straight) {
        precondition(tokenCapacity > 0 && columns > 0, "\(tokenCapacity) x \(columns)")
        self.tokenCapacity = tokenCapacity
        self.columns = columns
        self.forms = forms
        let groups = (columns + 31) / 32
        paddedColumns = groups * 32
        values = Buffer(count: tokenCapacity * paddedColumns)
        straight = Terms(tokens: forms.contains(.straight) ? tokenCapacity : 0, groups: groups)
        turned = Terms(tokens: forms.contains(.turned) ? tokenCapacity : 0, groups: groups)
        unsafe turnedPlace = Buffer(count: 1)
        if forms.contains(.turned) {
            turnedValues = Buffer(count: tokenCapacity * paddedColumns)
            unsafe turnedPlace[0] = turned.raw(turnedValues, width: columns, groups: groups)
        } else {
            turnedValues = Buffer(count: 0)
        }
    }

    /// Bytes held.
    public static func byteCount(
        tokenCapacity: Int, columns: Int, forms: Matrix.Forms = .straight
    ) -> Int {
        let groups = (columns + 31) / 32
        let each = Terms.byteCount(tokens: tokenCapacity, groups: groups)
        let values = tokenCapacity * groups * 128
        return values + (forms.contains(.straight) ? each : 0)
            + (forms.contains(.turned) ? values + each : 0)
    }

    var raw: tsr_activations {
        var raw = unsafe straight.raw(values, width: columns, groups: paddedColumns / 32)
        unsafe raw.only_turned = !forms.contains(.straight)
        unsafe raw.turned =
            forms.contains(.turned) ? UnsafePointer(turnedPlace.pointer) : nil
        return unsafe raw
    }

    /// The turned form by itself.
    var rawTurned: tsr_activations { unsafe turnedPlace[0] }

    func check(tokens: Int) {
        precondition(
            tokens >= 0 && tokens <= tokenCapacity, "\(tokens) tokens of at most \(tokenCapacity)")
    }
}

/// Codes of activations: each token's groups of columns, then those that are coded twice.
@safe private final class Terms: @unchecked Sendable {
    private let codes: Buffer<Int8>
    private let scales: Buffer<Float>
    private let sums: Buffer<Float>
    private let halfSums: Buffer<Float>
    private let offsets: Buffer<Float>
    private let residualGroups: Buffer<UInt32>
    private let residualList: Buffer<tsr_residual>
    private let groupEnds: Buffer<UInt32>
    /// The codes once more, in the order in which AVX-512 reads them; empty without AVX-512.
    private let entries: Buffer<tsr_entry>

    init(tokens: Int, groups: Int) {
        let residuals = Self.residuals(groups)
        let terms = tokens * (groups + residuals)
        codes = Buffer(count: terms * 32)
        scales = Buffer(count: terms)
        sums = Buffer(count: terms)
        halfSums = Buffer(count: 2 * terms)
        offsets = Buffer(count: terms)
        residualGroups = Buffer(count: tokens * residuals)
        residualList = Buffer(count: tokens * residuals)
        groupEnds = Buffer(count: Self.blocks(tokens) * groups)
        entries = Buffer(count: Self.readsEntries ? terms : 0)
    }

    static func byteCount(tokens: Int, groups: Int) -> Int {
        let residuals = residuals(groups)
        let term = 52 + (readsEntries ? MemoryLayout<tsr_entry>.stride : 0)
        return tokens * ((groups + residuals) * term + residuals * 16) + blocks(tokens) * groups * 4
    }

    func raw(_ values: Buffer<Float>, width: Int, groups: Int) -> tsr_activations {
        let residuals = Self.residuals(groups)
        return unsafe tsr_activations(
            values: values.pointer, codes: codes.pointer, scales: scales.pointer,
            sums: sums.pointer, half_sums: halfSums.pointer, offsets: offsets.pointer,
            residual_groups: residualGroups.pointer,
            residual_list: residualList.pointer, group_ends: groupEnds.pointer,
            entries: entries.count > 0 ? entries.pointer : nil, width: width,
            columns: groups * 32, groups: groups, residuals: residuals,
            terms: groups + residuals, turned: nil, only_turned: false)
    }

    private static func residuals(_ groups: Int) -> Int { (groups + 7) / 8 }

    private static func blocks(_ tokens: Int) -> Int {
        (tokens + Int(TSR_TOKEN_BLOCK) - 1) / Int(TSR_TOKEN_BLOCK)
    }

    private static let readsEntries = unsafe tsr_kernels_avx512vnni() != nil
}
