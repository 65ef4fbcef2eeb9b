internal import TesseraCKernels

// What the kernels have room for. The format allows more (Formats/TSR.md §5, rule 13).
extension ModelConfig {
    /// Dimensions of a head at most.
    public static let largestHeadDim = Int(TSR_MAX_HEAD_DIM)
    /// Query heads that share a key head at most.
    public static let largestHeadGroup = 64

    /// Whether attention has room for the heads of this model.
    public var hasRunnableHeads: Bool {
        headDim <= Self.largestHeadDim && headCount <= Self.largestHeadGroup * kvHeadCount
    }
}
