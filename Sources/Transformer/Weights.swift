internal import TesseraKernels
internal import TesseraResidency
internal import TesseraWeightFile

/// The weights of one decoder layer, and its computation.
struct DecoderLayer {
    let spec: LayerSpec
    /// Index of its view of the cache (``KVCache``): layers with the same window share a view.
    let view: Int
    let attentionNorm: Buffer<Float>?  // [hiddenSize]
    let queryKeyValue: WeightGroup
    let biases: [Buffer<Float>]  // of q, k and v, or empty
    let queryNorm: Buffer<Float>?  // [headDim], or of the whole projection
    let keyNorm: Buffer<Float>?
    let output: WeightGroup
    let attentionOutputNorm: Buffer<Float>?  // [hiddenSize]
    let mlpNorm: Buffer<Float>?  // [hiddenSize]
    let gateUp: WeightGroup
    let down: WeightGroup
    let mlpOutputNorm: Buffer<Float>?  // [hiddenSize]

    init(_ file: WeightFile, _ store: WeightStore, _ index: Int, view: Int) {
        let tensors = file.config.tensors(ofLayer: index)
        func group(_ product: TensorRole.Product) -> WeightGroup {
            store.group(tensors.filter { $0.role.product == product }.map(\.name))
        }
        func vector(_ role: TensorRole) -> Buffer<Float>? {
            tensors.first { $0.role == role }.map { file.vector($0.name) }
        }
        spec = file.config.layers[index]
        self.view = view
        attentionNorm = vector(.attentionNorm)
        queryKeyValue = group(.queryKeyValue)
        biases = [.queryBias, .keyBias, .valueBias].compactMap(vector)
        queryNorm = vector(.queryNorm)
        keyNorm = vector(.keyNorm)
        output = group(.attentionOutput)
        attentionOutputNorm = vector(.attentionOutputNorm)
        mlpNorm = vector(.mlpNorm)
        gateUp = group(.gateUp)
        down = group(.down)
        mlpOutputNorm = vector(.mlpOutputNorm)
    }

    /// Norms of single heads, which are applied with the rotation.
    var headNorms: (query: Buffer<Float>?, key: Buffer<Float>?) {
        spec.queryKeyNorm == .perHead ? (queryNorm, keyNorm) : (nil, nil)
    }

    var activation: Compute.Activation {
        switch spec.activation {
        case .silu: .silu
        case .geluTanh: .geluTanh
        }
    }
}

extension ModelConfig {
    /// The windows of all layers, each once; 0 is none. A layer's is one of the views of a cache.
    var windows: [Int] {
        var windows: [Int] = []
        for layer in layers where !windows.contains(layer.window) { windows.append(layer.window) }
        return windows
    }
}
