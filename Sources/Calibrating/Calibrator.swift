public import TesseraImport
internal import TesseraKernels
public import TesseraQuantization
public import TesseraTransformer
public import TesseraWeightFile

/// Runs a text through a model to learn which errors of which matrix matter.
///
/// Three things are measured. First, the products of each matrix's inputs, in one pass over the text: they tell how its
/// columns can make up for each other's errors. The
/// divergence of the logits when noise is added to a matrix's products, as rounding its weights would add it: a pass for
/// the same matrix of some layers. And the divergence when noise is added to all products, which is less than the sum
/// where errors are large.
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
    /// Relative squared error that is tried.
    private static let trial = 0.005
    /// Sums of importance times error that are tried on all matrices together.
    private static let sums = [0.01, 0.1, 0.5, 2]
    /// Positions that those are tried on.
    private static let togetherLength = 512
    /// Bytes of products for which the larger blocks are taken.
    private static let productBytes = 512 << 20

    /// - Parameters:
    ///   - sequence: A sequence of a close copy of the source, with batches and logits of ``batch`` positions.
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

    /// - Parameter progress: Work done and in total.
    /// - Throws: `DecodingError.notFinite` where a logit is, `QuantizationError.cancelled`.
    public func calibrate(
        key: String, progress: (Int, Int) -> Void, isCancelled: () -> Bool
    ) throws -> Calibration {
        var calibration = Calibration(key: key)
        let tests = try NoiseTest.all(source)
        let probe = LogitProbe(sequence, tap, layers: source.config.layers.count)
        let windows = parts(of: Self.batch, positions: Self.togetherLength)
        let all =
            ids.count + tests.reduce(0) { $0 + probe.work($1.firstLayer) }
            + windows.count * (1 + Self.sums.count) * probe.work(0)
        var done = 0
        func step(_ positions: Int) throws {
            guard !isCancelled() else { throw QuantizationError.cancelled }
            done += positions
            progress(done, all)
        }
        try collect(step)
        for (operation, layer, names) in NoiseTest.steps(source.config) {
            for form in tap.feedback(operation, layer) {
                for name in names { calibration.feedback[form.isTurned, default: [:]][name] = form }
            }
        }
        tap.finish()
        try probe.begin(
            parts(of: Self.batch / 2, positions: Self.batch), saving: Set(tests.map(\.firstLayer))
        )
        for test in tests {
            tap.noise = test.noise(Self.trial)
            let divergence = try probe.divergence(from: test.firstLayer)
            try step(probe.work(test.firstLayer))
            for name in test.names {
                calibration.importance[name] = divergence / Self.trial / Double(test.names.count)
            }
        }
        try measureTogether(tests, &calibration, probe, windows, step)
        return calibration
    }

    /// Tries noise on all products, as a plan that is shared out well would make it: errors in proportion to weights
    /// over importance.
    private func measureTogether(
        _ tests: [NoiseTest], _ calibration: inout Calibration, _ probe: LogitProbe,
        _ windows: [[Int32]], _ step: (Int) throws -> Void
    ) throws {
        let weights = Dictionary(
            uniqueKeysWithValues: source.tensors.map { ($0.name, Double($0.rows * $0.columns)) })
        let names = tests.flatMap(\.names)
        let whole = names.reduce(0) { $0 + (weights[$1] ?? 0) }
        var found = [Double](repeating: 0, count: Self.sums.count)
        var sums = found
        for window in windows {
            try probe.begin([window], saving: [])
            try step(probe.work(0))
            for (index, sum) in Self.sums.enumerated() {
                sums[index] = 0
                tap.noise = tests.flatMap { test in
                    test.names.flatMap { name -> [Tap.Noise] in
                        let importance = calibration.importance(of: name) ?? 1
                        let error = min(1, sum * (weights[name] ?? 0) / whole / importance)
                        sums[index] += importance * error
                        return test.noise(error, of: name)
                    }
                }
                found[index] += try probe.divergence(from: 0) / Double(windows.count)
                try step(probe.work(0))
            }
        }
        tap.noise = []
        calibration.together = zip(sums, found).map { ($0, $1) }
    }

    /// Parts of the text, spread over it.
    private func parts(of length: Int, positions: Int) -> [[Int32]] {
        let count = max(1, min(positions, ids.count) / length)
        return (0..<count).map { index in
            let start = ids.count / count * index
            return Array(ids[start..<min(start + length, ids.count)])
        }
    }

    /// One pass over the text, with the inputs of every matrix added up.
    private func collect(_ step: (Int) throws -> Void) throws {
        let config = source.config
        let sites = NoiseTest.steps(config).compactMap { operation, layer, _ in
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
        tap.isCollecting = true
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
}
