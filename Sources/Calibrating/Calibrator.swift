internal import Decoding
public import Import
internal import Kernels
public import Quantization
public import Transformer
public import WeightFile

/// Runs a text through a model to learn which errors of which matrix matter.
///
/// Two things are measured. The divergence of the logits when noise is added to a matrix's products, as
/// rounding its weights would add it: one pass per matrix. And the products of each matrix's inputs, from
/// which follows how its columns can make up for each other's errors: one pass over the text.
public final class Calibrator {
    private let sequence: TokenSequence
    private let source: any TensorSource
    private let ids: [Int32]
    private let forms: [Matrix.Forms]
    private let tap: Tap

    /// Positions of a pass.
    public static let batch = 128
    /// Positions of the text that are used at most, without beginning anew.
    public static let window = 512
    /// Positions of a trial.
    private static let trialLength = 64
    /// Relative squared error that is tried.
    private static let trial = 0.005
    /// Bytes of products for which the larger blocks are taken.
    private static let productBytes = 512 << 20

    /// - Parameters:
    ///   - sequence: Of a close copy of the source, with batches and logits of ``batch`` positions.
    ///   - storages: How the matrices may be stored.
    ///   - ids: The text.
    public init(
        _ sequence: TokenSequence, source: any TensorSource, storages: [StorageClass],
        ids: [Int32]
    ) {
        precondition(
            sequence.batchCapacity == Self.batch && sequence.logitCapacity >= Self.batch,
            "batches of \(sequence.batchCapacity)")
        self.sequence = sequence
        self.source = source
        self.ids = ids
        let used = storages.reduce(into: Matrix.Forms()) { $0.formUnion($1.form) }
        forms = [.straight, .turned].filter { used.contains($0) }
        tap = Tap(sequence.workspace)
        sequence.workspace.observer = tap
    }

    /// - Parameter progress: Positions computed and in total.
    /// - Throws: `DecodingError.notFinite` where a logit is, `QuantizationError.cancelled`.
    public func calibrate(
        key: String, progress: (Int, Int) -> Void, isCancelled: () -> Bool
    ) throws -> Calibration {
        var calibration = Calibration(key: key)
        let matrices = source.tensors.filter { $0.rows > 1 }
        let trials = matrices.count * trialWindows.reduce(0) { $0 + $1.count }
        var done = 0
        func step(_ positions: Int) throws {
            guard !isCancelled() else { throw QuantizationError.cancelled }
            done += positions
            progress(done, ids.count + trials)
        }
        try collect(step)
        for (operation, layer, names) in Self.steps(source.config) {
            for form in tap.feedback(operation, layer) {
                for name in names { calibration.feedback[form.isTurned, default: [:]][name] = form }
            }
        }
        tap.finish()
        let exact = try trialWindows.map { try logits($0) }
        for tensor in matrices {
            let deviation = try Calibration.deviation(of: tensor, in: source)
            var score = LogitScore()
            for (index, window) in trialWindows.enumerated() {
                tap.noise = noise(for: tensor, deviation: deviation)
                try compare(window, exact[index], &score)
                try step(window.count)
            }
            tap.noise = []
            calibration.importance[tensor.name] = max(0, score.meanKL) / Self.trial
        }
        return calibration
    }

    /// Parts of the text that noise is tried on: more of them for small models, whose passes take no time. Of an 8B, 225
    /// matrices make 29,000 positions, which two processors compute in some six minutes.
    private var trialWindows: [Range<Int>] {
        let weights = source.tensors.reduce(0) { $0 + $1.rows * $1.columns }
        let wanted = weights < 50_000_000 ? 16 : 2
        let count = max(1, min(wanted, ids.count / Self.trialLength))
        return (0..<count).map { index in
            let start = (ids.count / count) * index
            return start..<min(start + Self.trialLength, ids.count)
        }
    }

    /// One pass over the text, with the inputs of every matrix added up.
    private func collect(_ step: (Int) throws -> Void) throws {
        let config = source.config
        let sites = Self.steps(config).compactMap { operation, layer, _ in
            sequence.workspace.inputs(of: operation).map { (operation, layer, $0.values.columns) }
        }
        let bytes = sites.reduce(0) {
            let each = ColumnFeedback.byteCount(
                columns: $1.2, block: ColumnFeedback.blocks.large)
            return $0 + forms.count * each
        }
        let block =
            bytes <= Self.productBytes
            ? ColumnFeedback.blocks.large : ColumnFeedback.blocks.small
        for (operation, layer, columns) in sites {
            for form in forms {
                tap.watch(
                    operation, layer, ColumnFeedback(columns: columns, block: block, forms: form))
            }
        }
        var at = 0
        while at < ids.count {
            if at % Self.window == 0 { sequence.reset() }
            let count = min(Self.batch, ids.count - at)
            try sequence.forward(
                committed: Array(ids[at..<at + count]),
                logitRows: config.tieWordEmbeddings ? [] : Array(0..<count))
            at += count
            try step(count)
        }
        tap.isCollecting = false
    }

    private func logits(_ window: Range<Int>) throws -> [[Float]] {
        let size = source.config.vocabularySize
        try run(window)
        return (0..<window.count).map { row in
            let begin = row * sequence.logitStride
            return sequence.logits.withSpan(begin..<begin + size) { span in
                span.indices.map { span[$0] }
            }
        }
    }

    private func compare(
        _ window: Range<Int>, _ exact: [[Float]], _ score: inout LogitScore
    ) throws {
        try run(window)
        for row in 0..<window.count {
            let begin = row * sequence.logitStride
            try score.add(
                sequence.logits, begin..<begin + source.config.vocabularySize, next: 0,
                reference: exact[row], compute: sequence.compute)
        }
    }

    private func run(_ window: Range<Int>) throws {
        sequence.reset()
        tap.ids = Array(ids[window])
        try sequence.forward(
            committed: tap.ids, logitRows: Array(0..<window.count))
    }

    /// Where noise of a tensor shows: a tied embedding is the head as well.
    private func noise(for tensor: SourceTensor, deviation: Float) -> [Tap.Noise] {
        func noise(_ operation: PassOperation, _ layer: Int, _ matrix: Int) -> Tap.Noise {
            Tap.Noise(
                operation: operation, layer: layer, matrix: matrix,
                deviation: deviation * Float(Self.trial.squareRoot()),
                frequency: RowFrequency(tensor, source.config))
        }
        if TensorRole(matrix: tensor.name) == .embedding {
            let embed = noise(.embed, 0, 0)
            let head = noise(.head, 0, 0)
            return source.config.tieWordEmbeddings ? [embed, head] : [embed]
        }
        for (operation, layer, names) in Self.steps(source.config) {
            if let matrix = names.firstIndex(of: tensor.name) {
                return [noise(operation, layer, matrix)]
            }
        }
        return []
    }

    /// Every multiplication of a pass and its matrices; a tied head is left out.
    private static func steps(_ config: ModelConfig) -> [(PassOperation, Int, [String])] {
        let layers = config.layers.indices.flatMap { layer in
            let tensors = config.tensors(ofLayer: layer)
            return TensorRole.Product.allCases.compactMap { product in
                let names = tensors.filter { $0.role.product == product }.map(\.name)
                return names.isEmpty ? nil : (product.operation, layer, names)
            }
        }
        return config.tieWordEmbeddings ? layers : layers + [(.head, 0, [config.headName])]
    }
}
