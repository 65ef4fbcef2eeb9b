internal import TesseraKernels
internal import TesseraResidency
public import TesseraWeightFile

/// A drafter next to its target: reads the residual streams of the target's passes, makes context of them, and fills
/// blocks of masks after it. Formats/TSR.md §5.3 says what is computed.
///
/// Context depends on a token and those before it alone. So the keys and values of each committed token are made once, in the pass that
/// commits it, and are dropped with the target's. A block's are open: they leave no trace.
public final class BlockDrafter {
    /// The drafter's own workspace.
    let workspace: Workspace
    let weights: DrafterWeights
    public let config: ModelConfig.Drafter
    /// `[batch, taps, hiddenSize]` of the target's last pass.
    private let taps: Buffer<Float>
    private let rows: Buffer<Int32>
    private let joined: Activations
    // For one row of a block: its previous token, the factor of that token, and the values that this factor adds to the logits.
    private let id = Buffer<Int32>(count: 1)
    private let factor: Buffer<Float>
    private let factorInput: Activations
    private let addition: Buffer<Float>
    /// `[blockSize, hiddenSize]`: the last layer's normed output, for the head that tells chances.
    private let output: Buffer<Float>

    /// Loads a drafter; passes of `target` are followed from now on.
    ///
    /// - Parameter options: The drafter's options; as many positions per pass as the target's.
    /// - Throws: `wrongDrafter` where drafter and target do not fit together; also what `Model.init` throws.
    public init(
        _ file: WeightFile, nextTo target: Workspace, options: Model.Options
    ) throws(TransformerError) {
        var options = options
        options.batchCapacity = max(target.batchCapacity, file.config.drafter?.blockSize ?? 1)
        options.logitCapacity = file.config.drafter?.blockSize ?? 1
        options.openCapacity = options.logitCapacity
        let model = try Model(file, options: options, draftingFor: target.model)
        guard let config = file.config.drafter, let weights = model.drafting else {
            preconditionFailure("no drafter")
        }
        workspace = Workspace(model)
        (self.config, self.weights) = (config, weights)
        let width = model.config.hiddenSize
        let forms = file.forms
        taps = Buffer(count: target.batchCapacity * config.taps.count * width)
        rows = Buffer(count: target.batchCapacity)
        joined = Activations(
            tokenCapacity: target.batchCapacity, columns: config.taps.count * width, forms: forms)
        let rank = max(1, config.markovRank)
        factor = Buffer(count: rank)
        factorInput = Activations(tokenCapacity: 1, columns: rank, forms: forms)
        addition = Buffer(count: config.markovRank > 0 ? workspace.logitStride : 0)
        output = Buffer(count: config.confidence == .none ? 0 : config.blockSize * width)
        target.drafter = self
    }

    /// Bytes that it holds next to its model's.
    public static func byteCount(_ file: WeightFile, _ options: Model.Options) -> Int {
        let width = file.config.hiddenSize * (file.config.drafter?.taps.count ?? 0)
        return options.batchCapacity * width * 4
            + Activations.byteCount(
                tokenCapacity: options.batchCapacity, columns: width, forms: file.forms)
    }

    /// Keeps the target's residual stream after a layer.
    func keep(_ hidden: Buffer<Float>, after layer: Int, tokens: Int) {
        let width = workspace.model.config.hiddenSize
        for index in config.taps.indices where config.taps[index] == layer {
            for token in 0..<tokens {
                taps.copy(
                    hidden, from: token * width,
                    to: (token * config.taps.count + index) * width, count: width)
            }
        }
    }

    /// Makes context of the committed tokens of a part of the target's pass, whose sequence has not moved on yet.
    func follow(_ part: Part) throws(TransformerError) {
        let count = part.committed.count
        guard count > 0, let context = part.sequence.draftContext, context.drafter === self
        else { return }
        if context.position != part.sequence.position { context.begin(at: part.sequence.position) }
        let (model, scratch) = (workspace.model, workspace.scratch)
        let (compute, config) = (model.compute, model.config)
        for index in 0..<count { rows[index] = Int32(part.first + index) }
        compute.rmsNorm(
            taps, rows: rows, tokens: count, weight: nil, eps: config.rmsNormEps, into: joined)
        compute.multiply(
            weights.fusion, joined, tokens: count, into: scratch.hidden, stride: config.hiddenSize)
        compute.rmsNorm(
            scratch.hidden, tokens: count, weight: weights.fusionNorm, eps: config.rmsNormEps,
            into: scratch.normed)
        do throws(ResidencyError) {
            try workspace.commit(count, to: context.sequence)
        } catch {
            throw .residency(error)
        }
    }

    /// Adds the logits that depend on the previous token to a row. Returns the chance that the row's token is right;
    /// nil without a head that predicts it.
    func finish(row: Int, previous: Int32) -> Float? {
        let (model, compute) = (workspace.model, workspace.model.compute)
        if let matrix = weights.previous, let next = weights.next {
            id[0] = previous
            compute.embed(matrix, tokens: id, count: 1, into: factor)
            compute.rmsNorm(
                factor, tokens: 1, weight: nil, eps: model.config.rmsNormEps, into: factorInput)
            compute.multiply(next, factorInput, tokens: 1, into: addition)
            let begin = row * workspace.logitStride
            for index in 0..<model.config.headRows {
                workspace.logits[begin + index] += addition[index]
            }
        }
        guard let confidence = weights.confidence else { return nil }
        let width = model.config.hiddenSize
        var sum = weights.confidenceBias
        for index in 0..<width { sum += output[row * width + index] * confidence[index] }
        for index in width..<confidence.count { sum += factor[index - width] * confidence[index] }
        return sum
    }

    /// Normalizes the output of the last layer, for `finish`.
    func keepOutput(rows range: Range<Int>) {
        guard weights.confidence != nil else { return }
        let model = workspace.model
        let width = model.config.hiddenSize
        output.copy(
            workspace.scratch.hidden, from: range.lowerBound * width, to: 0,
            count: range.count * width)
        model.compute.normalize(
            output, stride: width, tokens: range.count, weight: model.finalNorm,
            eps: model.config.rmsNormEps)
    }
}

extension Workspace {
    /// Enters the keys and values of the tokens whose context is in `scratch.normed` into the cache of a sequence.
    fileprivate func commit(
        _ count: Int, to sequence: TokenSequence
    ) throws(ResidencyError) {
        parts.removeAll(keepingCapacity: true)
        parts.append(
            Part(
                sequence: sequence, segment: 0, first: 0, committed: 0..<count, openCount: 0,
                rows: 0..<0, firstRow: 0))
        place(parts[0])
        for index in model.layers.indices {
            try project(model.layers[index], index, tokens: count, nil)
        }
        if model.compute.takeNotFinite() > 0 { sequence.isNotFinite = true }
        sequence.position += count
        sequence.cache.advance(to: sequence.position)
    }
}

/// The weights of a drafter outside its layers.
struct DrafterWeights {
    let fusion: MatrixGroup
    let fusionNorm: Buffer<Float>
    /// Factors of the Markov head: one for the previous token, which is looked up, and one for the next token.
    let previous: Matrix?
    let next: MatrixGroup?
    let confidence: Buffer<Float>?
    let confidenceBias: Float

    init(_ file: WeightFile, _ drafter: ModelConfig.Drafter) {
        func name(_ role: TensorRole) -> String { file.config.tensor(role).name }
        fusion = MatrixGroup([file.matrix(name(.fusion))])
        fusionNorm = file.vector(name(.fusionNorm))
        let hasMarkov = drafter.markovRank > 0
        previous = hasMarkov ? file.matrix(name(.previousToken)) : nil
        next = hasMarkov ? MatrixGroup([file.matrix(name(.nextToken))]) : nil
        let hasConfidence = drafter.confidence != .none
        confidence = hasConfidence ? file.vector(name(.confidence)) : nil
        confidenceBias = hasConfidence ? file.vector(name(.confidenceBias))[0] : 0
    }
}
