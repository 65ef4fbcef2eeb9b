internal import TesseraImport
internal import TesseraQuantization
internal import TesseraTransformer
internal import TesseraWeightFile

/// Matrices that get noise in one pass: those of one kind in neighbouring layers, which matter about equally. Queries and
/// keys are one kind, because an error of either moves the same products.
struct NoiseTest {
    let names: [String]
    /// The first layer that the pass computes: nothing before it changes.
    let firstLayer: Int
    private let places: [(name: String, noise: Tap.Noise)]

    /// Layers at the beginning and at the end that are tried by themselves, and parts of those between.
    private static let (single, parts) = (2, 8)

    /// Noise that is equivalent to a relative squared error of each matrix's weights.
    func noise(_ error: Double, of name: String? = nil) -> [Tap.Noise] {
        places.compactMap { place in
            guard name == nil || name == place.name else { return nil }
            var noise = place.noise
            noise.deviation *= Float(error.squareRoot())
            return noise
        }
    }

    /// One test for each kind of matrix and part of the layers, and those of embedding and head.
    static func all(_ source: any TensorSource) throws -> [NoiseTest] {
        let config = source.config
        let steps = steps(config)
        var deviations: [String: Float] = [:]
        var tensors: [String: SourceTensor] = [:]
        for tensor in source.tensors where tensor.rows > 1 {
            deviations[tensor.name] = try Calibration.deviation(of: tensor, in: source)
            tensors[tensor.name] = tensor
        }
        func place(
            _ name: String, _ operation: PassOperation, _ layer: Int, _ matrix: Int
        ) -> (String, Tap.Noise)? {
            guard let tensor = tensors[name], let deviation = deviations[name] else { return nil }
            return (
                name,
                Tap.Noise(
                    operation: operation, layer: layer, matrix: matrix, deviation: deviation,
                    frequency: RowFrequency(tensor, config))
            )
        }
        var tests: [NoiseTest] = []
        for layers in parts(of: config.layers.count) {
            var kinds: [String: [(String, Tap.Noise)]] = [:]
            for (operation, layer, names) in steps
            where operation != .head && layers.contains(layer) {
                for (matrix, name) in names.enumerated() {
                    let isKey = operation == .queryKeyValue && matrix == 1
                    let kind = "\(operation.rawValue) \(isKey ? 0 : matrix)"
                    if let place = place(name, operation, layer, matrix) {
                        kinds[kind, default: []].append(place)
                    }
                }
            }
            tests += kinds.keys.sorted().compactMap { kinds[$0] }.map {
                NoiseTest(names: $0.map(\.0), firstLayer: layers.lowerBound, places: $0)
            }
        }
        for tensor in source.tensors where TensorRole(matrix: tensor.name) == .embedding {
            var places = [place(tensor.name, .embed, 0, 0)]
            if config.tieWordEmbeddings { places.append(place(tensor.name, .head, 0, 0)) }
            tests.append(
                NoiseTest(
                    names: [tensor.name], firstLayer: 0, places: places.compactMap { $0 }))
        }
        if !config.tieWordEmbeddings, let head = place(config.headName, .head, 0, 0) {
            tests.append(
                NoiseTest(
                    names: [config.headName], firstLayer: config.layers.count, places: [head]))
        }
        return tests
    }

    /// Every multiplication of a pass and its matrices; a tied head is left out.
    static func steps(_ config: ModelConfig) -> [(PassOperation, Int, [String])] {
        let layers = config.layers.indices.flatMap { layer in
            let tensors = config.tensors(ofLayer: layer)
            return TensorRole.Product.allCases.compactMap { product in
                let names = tensors.filter { $0.role.product == product }.map(\.name)
                return names.isEmpty ? nil : (product.operation, layer, names)
            }
        }
        return config.tieWordEmbeddings ? layers : layers + [(.head, 0, [config.headName])]
    }

    /// Neighbouring layers.
    private static func parts(of layers: Int) -> [Range<Int>] {
        guard layers > 2 * single + parts else { return (0..<layers).map { $0..<$0 + 1 } }
        let between = layers - 2 * single
        let ends = (0..<single).map { $0..<$0 + 1 }
        let middle = (0..<parts).map {
            single + $0 * between / parts..<single + ($0 + 1) * between / parts
        }
        return ends + middle
            + ends.map { layers - single + $0.lowerBound..<layers - single + $0.upperBound }
    }
}
