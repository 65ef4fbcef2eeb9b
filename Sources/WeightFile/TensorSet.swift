/// Rule 33: the tensors that the configuration demands exist in the right shape, and there is a head only
/// if the embedding is not the head. Further tensors may be present and are ignored.
func checkTensorSet(
    _ tensors: [TensorRecord], index: [String: Int], config: ModelConfig, directory: Range<Int>
) throws(Violation) {
    // Cheap bound first: a damaged layer count must not build a list of millions of names.
    guard config.layerCount <= tensors.count else {
        throw Violation(
            .tensorSet, at: directory.lowerBound, found: "\(tensors.count) tensors",
            expected: "those of \(config.layerCount) layers")
    }
    for required in config.tensors {
        let (name, rows, columns) = (required.name, required.rows, required.columns)
        guard let position = index[name] else {
            throw Violation(
                .tensorSet, at: directory.lowerBound, tensor: name, found: "no such tensor",
                expected: "[\(rows), \(columns)]")
        }
        let tensor = tensors[position]
        let offset = directory.lowerBound + position * TensorDirectory.recordBytes
        guard tensor.rows == rows, tensor.columns == columns else {
            throw Violation(
                .tensorSet, at: offset + 8, tensor: name,
                found: "[\(tensor.rows), \(tensor.columns)]", expected: "[\(rows), \(columns)]")
        }
        // Norms and biases are used as they are, whatever the model's size.
        guard tensor.encoding == .f32 || !required.role.isVector else {
            throw Violation(
                .tensorSet, at: offset + 24, tensor: name, found: tensor.encoding, expected: "f32")
        }
    }
    let head = config.tensor(.head).name
    if config.tieWordEmbeddings, let position = index[head] {
        throw Violation(
            .tensorSet, at: directory.lowerBound + position * TensorDirectory.recordBytes,
            tensor: head, found: "a head", expected: "none: the embedding is the head")
    }
}
