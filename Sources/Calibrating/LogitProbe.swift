internal import TesseraDecoding
internal import TesseraKernels
internal import TesseraTransformer
internal import TesseraWeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The divergence of logits from exact ones, over some texts that share a pass.
final class LogitProbe {
    private let tap: Tap
    private let workspace: Workspace
    private var sequences: [TokenSequence]
    private let layers: Int
    private var texts: [[Int32]] = []
    /// Exact probabilities, `[positions, vocabulary]`.
    private var probabilities = Buffer<Float>(count: 0)
    /// The mean over positions of the sum of p ln p.
    private var certainty = 0.0

    init(_ sequence: TokenSequence, _ tap: Tap, layers: Int) {
        self.tap = tap
        workspace = sequence.workspace
        sequences = [sequence]
        self.layers = layers
    }

    /// The work of a pass that begins at a layer, in positions of a whole pass. The head counts as two layers.
    func work(_ layer: Int) -> Int {
        let first = workspace.canSkipLayers ? layer : 0
        return max(1, Calibrator.batch * (layers + 2 - first) / (layers + 2))
    }

    /// Computes exact logits, and keeps the residual stream at the beginning of some layers.
    ///
    /// - Parameter texts: Together as long as a pass.
    func begin(_ texts: [[Int32]], saving: Set<Int>) throws {
        self.texts = texts
        while sequences.count < texts.count { sequences.append(try TokenSequence(workspace)) }
        tap.noise = []
        tap.ids = texts.flatMap { $0 }
        tap.saves(workspace.canSkipLayers ? saving : [])
        try pass(from: 0)
        tap.saves([])
        let (size, stride) = (workspace.model.config.vocabularySize, workspace.logitStride)
        if probabilities.count < tap.ids.count * size {
            probabilities = Buffer(count: tap.ids.count * size)
        }
        certainty = 0
        for row in tap.ids.indices {
            let summary = try summary(row)
            workspace.logits.withSpan(row * stride..<row * stride + size) { logits in
                probabilities.withMutableSpan(row * size..<(row + 1) * size) { out in
                    for index in out.indices { out[index] = exp(logits[index] - summary.logSumExp) }
                }
            }
            certainty -= Double(summary.entropy) / Double(tap.ids.count)
        }
    }

    /// Mean KL divergence of a pass with the tap's noise, in nats.
    ///
    /// - Parameter layer: The layers before it are as in the exact pass.
    func divergence(from layer: Int) throws -> Double {
        try pass(from: workspace.canSkipLayers ? layer : 0)
        let size = workspace.model.config.vocabularySize
        var sum = 0.0
        for row in tap.ids.indices {
            let likelihood = workspace.model.compute.expectation(
                of: workspace.logits, from: row * workspace.logitStride, probabilities,
                row * size..<(row + 1) * size)
            sum += Double(try summary(row).logSumExp) - likelihood
        }
        return max(0, sum / Double(tap.ids.count) + certainty)
    }

    private func summary(_ row: Int) throws(DecodingError) -> Compute.RowSummary {
        let size = workspace.model.config.vocabularySize
        let begin = row * workspace.logitStride
        let summary = workspace.model.compute.summarize(workspace.logits, begin..<begin + size)
        guard summary.notFinite == 0 else {
            throw .notFinite(count: summary.notFinite, of: size, position: row)
        }
        return summary
    }

    private func pass(from layer: Int) throws {
        for sequence in sequences { sequence.reset() }
        workspace.firstLayer = layer
        defer { workspace.firstLayer = 0 }
        tap.firstLayer = layer
        try workspace.forward(
            zip(sequences, texts).map {
                Segment($0, committed: $1, logitRows: Array($1.indices))
            })
    }
}
