internal import CKernels

/// Activations `[tokens, columns]` in two forms: floats, and 8-bit codes with one scale per token and
/// group of 32 columns. Matrices of floats multiply the first, integer matrices the second.
///
/// One group in eight, those whose rounding steps are largest, is coded twice: the second codes say
/// what the first left. A few outlying values make most of the error of 8-bit activations; this takes
/// three quarters of the divergence away for an eighth more multiplications.
@safe public final class Activations: @unchecked Sendable {
    public let tokenCapacity: Int
    public let columns: Int
    /// `[tokens, paddedColumns]`; padding is zero.
    public let values: Buffer<Float>
    public let paddedColumns: Int
    let codes: Buffer<Int8>
    let scales: Buffer<Float>
    let sums: Buffer<Float>
    let halfSums: Buffer<Float>
    let offsets: Buffer<Float>
    let residualGroups: Buffer<UInt32>
    let residualList: Buffer<tsr_residual>
    let groupEnds: Buffer<UInt32>
    /// The codes once more, in the order in which AVX-512 reads them; empty without AVX-512.
    let entries: Buffer<tsr_entry>
    private let residuals: Int
    /// Tokens whose terms are listed as panel kernels need them; 0: none, the values are new.
    var listed = 0

    public init(tokenCapacity: Int, columns: Int) {
        precondition(tokenCapacity > 0 && columns > 0, "\(tokenCapacity) x \(columns)")
        self.tokenCapacity = tokenCapacity
        self.columns = columns
        let groups = (columns + 31) / 32
        paddedColumns = groups * 32
        values = Buffer(count: tokenCapacity * paddedColumns)
        residuals = (groups + 7) / 8
        let terms = tokenCapacity * (groups + residuals)
        codes = Buffer(count: terms * 32)
        scales = Buffer(count: terms)
        sums = Buffer(count: terms)
        halfSums = Buffer(count: 2 * terms)
        offsets = Buffer(count: terms)
        residualGroups = Buffer(count: tokenCapacity * residuals)
        residualList = Buffer(count: tokenCapacity * residuals)
        let blocks = (tokenCapacity + Int(TSR_TOKEN_BLOCK) - 1) / Int(TSR_TOKEN_BLOCK)
        groupEnds = Buffer(count: blocks * groups)
        entries = Buffer(count: Self.readsEntries ? terms : 0)
    }

    /// Bytes held.
    public static func byteCount(tokenCapacity: Int, columns: Int) -> Int {
        let groups = (columns + 31) / 32
        let residuals = (groups + 7) / 8
        let blocks = (tokenCapacity + Int(TSR_TOKEN_BLOCK) - 1) / Int(TSR_TOKEN_BLOCK)
        let term = 52 + (readsEntries ? MemoryLayout<tsr_entry>.stride : 0)
        return tokenCapacity * (groups * 128 + (groups + residuals) * term + residuals * 16)
            + blocks * groups * 4
    }

    private static let readsEntries = unsafe tsr_kernels_avx512vnni() != nil

    var raw: tsr_activations {
        unsafe tsr_activations(
            values: values.pointer, codes: codes.pointer, scales: scales.pointer,
            sums: sums.pointer, half_sums: halfSums.pointer, offsets: offsets.pointer,
            residual_groups: residualGroups.pointer,
            residual_list: residualList.pointer, group_ends: groupEnds.pointer,
            entries: entries.count > 0 ? entries.pointer : nil, columns: paddedColumns,
            groups: paddedColumns / 32, residuals: residuals,
            terms: paddedColumns / 32 + residuals)
    }

    func check(tokens: Int) {
        precondition(
            tokens >= 0 && tokens <= tokenCapacity, "\(tokens) tokens of at most \(tokenCapacity)")
    }
}
