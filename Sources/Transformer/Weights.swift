internal import Kernels
internal import Residency
internal import WeightFile

/// One pre-norm decoder layer's weights; each field names its tensor.
struct DecoderLayer {
    let inputNorm: Buffer<Float>  // input_layernorm [hiddenSize]
    let queryKeyValue: WeightGroup  // self_attn.{q,k,v}_proj
    let biases: [Buffer<Float>]  // self_attn.{q,k,v}_proj.bias, or empty
    let queryNorm: Buffer<Float>?  // self_attn.q_norm [headDim]
    let keyNorm: Buffer<Float>?  // self_attn.k_norm [headDim]
    let output: WeightGroup  // self_attn.o_proj
    let postAttentionNorm: Buffer<Float>  // post_attention_layernorm [hiddenSize]
    let gateUp: WeightGroup  // mlp.{gate,up}_proj
    let down: WeightGroup  // mlp.down_proj

    init(_ file: WeightFile, _ store: WeightStore, _ index: Int) {
        let config = file.config
        let name = "model.layers.\(index)."
        let groups = Self.groups.map { names in
            store.group(names.map { "\(name)\($0).weight" })
        }
        (queryKeyValue, output, gateUp, down) = (groups[0], groups[1], groups[2], groups[3])
        inputNorm = file.vector(name + "input_layernorm.weight")
        biases =
            config.attentionBias
            ? Self.groups[0].map { file.vector("\(name)\($0).bias") } : []
        queryNorm = config.queryKeyNorm ? file.vector(name + "self_attn.q_norm.weight") : nil
        keyNorm = config.queryKeyNorm ? file.vector(name + "self_attn.k_norm.weight") : nil
        postAttentionNorm = file.vector(name + "post_attention_layernorm.weight")
    }

    /// The matrices of each step, in the order of a pass.
    private static let groups = [
        ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"], ["self_attn.o_proj"],
        ["mlp.gate_proj", "mlp.up_proj"], ["mlp.down_proj"],
    ]

    /// Names of all matrices of all layers, in the order of a pass.
    static func matrixNames(_ config: ModelConfig) -> [String] {
        (0..<config.layerCount).flatMap { layer in
            groups.joined().map { "model.layers.\(layer).\($0).weight" }
        }
    }
}
