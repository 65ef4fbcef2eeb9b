internal import TesseraKernels
internal import TesseraQuantization
internal import TesseraTransformer
internal import TesseraWeightFile

/// Adds up inputs of matrices and puts noise on their products, while passes run.
final class Tap: PassObserver {
    /// Noise that stands for errors of a matrix's weights.
    struct Noise {
        var operation: PassOperation
        var layer: Int
        var matrix: Int
        /// Standard deviation of the weights' errors.
        var deviation: Float
        /// How often rows of the matrix matter: those that do have smaller errors.
        var frequency: RowFrequency

        /// Size of the errors of one row, compared with the mean.
        func size(_ row: Int32) -> Float { 1 / Float(frequency(Int(row)).squareRoot()) }
    }

    var noise: [Noise] = []
    /// Tokens of the pass.
    var ids: [Int32] = []
    var isCollecting = false
    /// Layer at which the pass begins, with the residual stream that the layer had in the exact pass; 0: with the embeddings.
    var firstLayer = 0
    private unowned let workspace: Workspace
    private var tokens = 0
    private var sites: [Int: [ColumnFeedback]] = [:]
    /// The residual stream at the beginning of layers, `[tokens, hidden size]`.
    private var saved: [Int: [Float]] = [:]
    private var savedLayers: Set<Int> = []
    private var state: UInt64 = 0

    init(_ workspace: Workspace) { self.workspace = workspace }

    func watch(_ operation: PassOperation, _ layer: Int, _ products: ColumnFeedback) {
        sites[key(operation, layer), default: []].append(products)
    }

    func feedback(_ operation: PassOperation, _ layer: Int) -> [ColumnFeedback] {
        sites[key(operation, layer)] ?? []
    }

    /// Keeps the residual stream at the beginning of these layers in the next passes.
    func saves(_ layers: Set<Int>) {
        savedLayers = layers
        if !layers.isEmpty { saved = [:] }
    }

    func finish() {
        for site in sites.values { for form in site { form.finish() } }
    }

    func passBegins(tokens: Int) {
        self.tokens = tokens
        state = 0x9e37_79b9_7f4a_7c15
    }

    func finished(_ operation: PassOperation, layer: Int) {
        if isCollecting {
            for step in [PassOperation.queryKeyValue, .attentionOutput, .gateUp, .down, .head] {
                guard let inputs = workspace.inputs(of: step), inputs.after == operation,
                    let site = sites[key(step, layer)]
                else { continue }
                for form in site {
                    form.add(inputs.values, tokens: tokens, on: workspace.model.compute)
                }
            }
        }
        if operation == .embed, firstLayer > 0 { resume() }
        if operation == .attentionNorm, savedLayers.contains(layer) { save(layer) }
        if operation == .finalNorm, savedLayers.contains(layerCount) { save(layerCount) }
        for item in noise where item.operation == operation && item.layer == layer { add(item) }
    }

    private var layerCount: Int { workspace.model.config.layers.count }

    /// A norm leaves the residual stream that it takes as it is.
    private func save(_ layer: Int) {
        guard let stream = workspace.product(of: .embed, layer: 0, matrix: 0) else { return }
        saved[layer] = stream.buffer.withSpan(0..<tokens * stream.stride) { span in
            span.indices.map { span[$0] }
        }
    }

    private func resume() {
        guard let stream = workspace.product(of: .embed, layer: 0, matrix: 0),
            let values = saved[firstLayer]
        else { preconditionFailure("layer \(firstLayer) was not saved") }
        stream.buffer.withMutableSpan(0..<values.count) { span in
            for index in span.indices { span[index] = values[index] }
        }
    }

    /// Adds to each product deviation times the length of the input: independent errors of weights.
    private func add(_ noise: Noise) {
        guard
            let product = workspace.product(
                of: noise.operation, layer: noise.layer, matrix: noise.matrix)
        else { return }
        let inputs = workspace.inputs(of: noise.operation)?.values
        let scale = workspace.model.config.embeddingScale
        for token in 0..<tokens {
            var square: Float = 1
            if let inputs {
                square = 0
                for column in 0..<inputs.columns {
                    let value = inputs.values[token * inputs.paddedColumns + column]
                    square += value * value
                }
            }
            let size = noise.deviation * square.squareRoot()
            let looked = noise.operation == .embed ? scale * noise.size(ids[token]) : 1
            let begin = token * product.stride + product.offset
            product.buffer.withMutableSpan(begin..<begin + product.columns) { row in
                for index in row.indices {
                    let each = noise.operation == .head ? noise.size(Int32(index)) : looked
                    row[index] += size * each * gaussian()
                }
            }
        }
    }

    /// Sum of eight uniform bytes of SplitMix64, of unit variance.
    private func gaussian() -> Float {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        z ^= z >> 31
        let pairs = (z & 0x00ff_00ff_00ff_00ff) &+ (z >> 8 & 0x00ff_00ff_00ff_00ff)
        return (Float((pairs &* 0x0001_0001_0001_0001) >> 48) - 1020) * (1 / 209.02)
    }

    private func key(_ operation: PassOperation, _ layer: Int) -> Int {
        layer * PassOperation.allCases.count + operation.rawValue
    }
}
