internal import TesseraImport
internal import TesseraWeightFile

/// How much errors of a matrix matter when its inputs are not known.
enum Importance {
    /// The cost of a relative squared error, in units of a gate projection's.
    static func of(_ tensor: SourceTensor, _ config: ModelConfig) -> Double {
        let role = TensorRole(matrix: tensor.name)
        // Errors of frequent tokens count more already (RowFrequency).
        return (role == .embedding && config.tieWordEmbeddings ? .head : role)?.importance ?? 1
    }
}
