import TesseraKernels
import Testing
import TesseraTransformer
import TesseraWeightFile

/// Passes that begin at a layer, as calibration makes them.
@Suite struct FirstLayerTests {
    /// Keeps the residual stream that a layer begins with, and puts it in place of the embeddings later.
    private final class Keeper: PassObserver {
        let workspace: Workspace
        let layer: Int
        var kept: [Float] = []
        var puts = false
        var layers: [Int] = []
        private var tokens = 0

        init(_ workspace: Workspace, layer: Int) {
            (self.workspace, self.layer) = (workspace, layer)
        }

        func passBegins(tokens: Int) { self.tokens = tokens }

        func finished(_ operation: PassOperation, layer: Int) {
            if operation == .down { layers.append(layer) }
            guard let stream = workspace.product(of: .embed, layer: 0, matrix: 0) else { return }
            let all = 0..<tokens * stream.stride
            if operation == .attentionNorm, layer == self.layer, !puts {
                kept = all.map { stream.buffer[$0] }
            } else if operation == .embed, puts {
                for index in all { stream.buffer[index] = kept[index] }
            }
        }
    }

    @Test("A pass from a layer on gives the logits of the whole one, bit for bit")
    func sameLogits() async throws {
        let file = try await TinyModel.llama.open(bits: .eight)
        let sequence = try TokenSequence.reference(file, batch: 16, threads: 2)
        let (workspace, tokens) = (sequence.workspace, randomTokens(9))
        #expect(workspace.canSkipLayers)
        let keeper = Keeper(workspace, layer: 1)
        workspace.observer = keeper
        let whole = try sequence.logits(committed: tokens, rows: Array(0..<9))
        sequence.reset()
        (keeper.puts, keeper.layers, workspace.firstLayer) = (true, [], 1)
        let part = try sequence.logits(committed: tokens, rows: Array(0..<9))
        #expect(part == whole)
        #expect(keeper.layers == Array(1..<file.config.layers.count))
    }
}
