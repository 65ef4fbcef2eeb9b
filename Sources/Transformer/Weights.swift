internal import Kernels
internal import WeightFile

/// One pre-norm decoder layer's weights; each field names its tensor.
struct DecoderLayer {
    let inputNorm: Buffer<Float>  // input_layernorm [hiddenSize]
    let queryKeyValue: MatrixGroup  // self_attn.{q,k,v}_proj
    let biases: [Buffer<Float>]  // self_attn.{q,k,v}_proj.bias, or empty
    let queryNorm: Buffer<Float>?  // self_attn.q_norm [headDim]
    let keyNorm: Buffer<Float>?  // self_attn.k_norm [headDim]
    let output: MatrixGroup  // self_attn.o_proj
    let postAttentionNorm: Buffer<Float>  // post_attention_layernorm [hiddenSize]
    let gateUp: MatrixGroup  // mlp.{gate,up}_proj
    let down: MatrixGroup  // mlp.down_proj

    init(_ file: WeightFile, _ index: Int) {
        let config = file.config
        let name = "model.layers.\(index)."
        inputNorm = file.vector(name + "input_layernorm.weight")
        queryKeyValue = MatrixGroup(
            ["q", "k", "v"].map { file.matrix(name + "self_attn.\($0)_proj.weight") })
        biases =
            config.attentionBias
            ? ["q", "k", "v"].map { file.vector(name + "self_attn.\($0)_proj.bias") } : []
        queryNorm = config.queryKeyNorm ? file.vector(name + "self_attn.q_norm.weight") : nil
        keyNorm = config.queryKeyNorm ? file.vector(name + "self_attn.k_norm.weight") : nil
        output = MatrixGroup([file.matrix(name + "self_attn.o_proj.weight")])
        postAttentionNorm = file.vector(name + "post_attention_layernorm.weight")
        gateUp = MatrixGroup(["gate", "up"].map { file.matrix(name + "mlp.\($0)_proj.weight") })
        down = MatrixGroup([file.matrix(name + "mlp.down_proj.weight")])
    }

    /// Bytes a pass reads.
    var byteCount: Int {
        [queryKeyValue, output, gateUp, down].reduce(0) { sum, group in
            sum + group.matrices.reduce(0) { $0 + $1.byteCount }
        }
    }
}

extension WeightFile {
    /// A tensor that opening the file has proved to exist.
    private func required(_ name: String) -> TensorRecord {
        guard let record = tensor(name) else { preconditionFailure("no tensor \(name)") }
        return record
    }

    /// A view of a matrix in the mapping; this file must outlive it.
    func matrix(_ name: String) -> Matrix {
        let record = required(name)
        guard let encoding = Matrix.Encoding(rawValue: record.encoding.rawValue) else {
            preconditionFailure("encoding \(record.encoding)")
        }
        // Safe: the record lies inside the mapping, which the transformer keeps alive.
        let bytes = unsafe UnsafeRawBufferPointer(
            start: unsafePointer(of: record), count: record.byteCount)
        return unsafe Matrix(
            rows: record.rows, columns: record.columns, encoding: encoding, bytes: bytes)
    }

    /// A copy of a vector, as floats.
    func vector(_ name: String) -> Buffer<Float> {
        let record = required(name)
        let bytes = self.bytes(of: record)
        let vector = Buffer<Float>(count: record.columns)
        for index in 0..<record.columns {
            if record.encoding == .f16 {
                let bits = unsafe bytes.unsafeLoadUnaligned(
                    fromByteOffset: index * 2, as: UInt16.self)
                vector[index] = Float(Float16(bitPattern: UInt16(littleEndian: bits)))
            } else {
                let bits = unsafe bytes.unsafeLoadUnaligned(
                    fromByteOffset: index * 4, as: UInt32.self)
                vector[index] = Float(bitPattern: UInt32(littleEndian: bits))
            }
        }
        return vector
    }
}
