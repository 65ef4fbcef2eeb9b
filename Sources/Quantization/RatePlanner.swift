public import TesseraImport
internal import TesseraKernels
internal import TesseraWeightFile

/// Plans a file: measures cost and loss of several ways to store each matrix, shares the bytes out so that the
/// whole model loses least, and chooses between storage classes.
public struct RatePlanner: Sendable {
    let source: any TensorSource
    let options: EncodingPlan.Options
    let requests: [EncodingPlan.Request]
    let threads: Int

    public init(
        _ source: any TensorSource, options: EncodingPlan.Options, threads: Int
    ) throws(QuantizationError) {
        self.source = source
        self.options = options
        self.threads = max(1, threads)
        requests = try EncodingPlan.requests(
            for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options)
    }

    /// - Parameter progress: Matrices measured and in total, each once for every storage class.
    public func plan(
        progress: (Int, Int) -> Void, isCancelled: () -> Bool
    ) async throws -> EncodingPlan {
        let storages = options.storages
        let measured = requests.indices.filter {
            if case .encoding = requests[$0].how { false } else { true }
        }
        guard let target = options.target, !measured.isEmpty else {
            return try draft(storages[0], options.target, [:]).plan
        }
        var curves: [[Int: RateCurve]] = []
        for (index, storage) in storages.enumerated() {
            let before = index * measured.count
            var found = try await measure(measured, storage, isCancelled) {
                progress(before + $0, storages.count * measured.count)
            }
            try await correct(&found, measured, storage, target, isCancelled)
            curves.append(found)
        }
        return try await trained(
            choose(target, zip(storages, curves).map { ($0, $1) }), isCancelled)
    }

    /// The plan that suits the target best, with those that were not chosen.
    private func choose(
        _ target: EncodingPlan.Options.Target, _ measured: [(StorageClass, [Int: RateCurve])]
    ) throws -> EncodingPlan {
        var drafts: [Draft] = []
        var refusal: QuantizationError?
        var curves: [StorageClass: [Int: RateCurve]] = [:]
        for (storage, found) in measured {
            curves[storage] = found
            do throws(QuantizationError) {
                drafts.append(try draft(storage, target, found))
            } catch {
                refusal = refusal.map { error.needsLess(than: $0) ? error : $0 } ?? error
            }
        }
        guard let chosen = Self.best(drafts, for: target) else {
            throw refusal ?? .cancelled
        }
        let near = target.neighbours.compactMap { target in
            try? draft(chosen.storage, target, curves[chosen.storage] ?? [:])
        }
        var plan = chosen.plan
        plan.alternatives = (drafts + near).map { draft in
            var alternative = draft.summary
            alternative.isChosen = draft.storage == chosen.storage && draft.target == target
            return alternative
        }
        return plan
    }

    /// For a size, the fastest plan whose loss is at most a fifth above the least; for a divergence, the fastest
    /// plan.
    static func best(_ drafts: [Draft], for target: EncodingPlan.Options.Target) -> Draft? {
        var candidates = drafts
        if case .divergence = target {
        } else {
            let least = drafts.map(\.loss).min() ?? 0
            candidates.removeAll { $0.loss > 1.2 * least }
        }
        return candidates.min {
            let (one, other) = ($0.summary.tokensPerSecond ?? 0, $1.summary.tokensPerSecond ?? 0)
            return one == other ? $0.loss < $1.loss : one > other
        }
    }

    /// A plan within one storage class.
    struct Draft {
        var storage: StorageClass
        var target: EncodingPlan.Options.Target?
        var plan: EncodingPlan
        /// Sum over matrices of importance times loss.
        var loss: Double
        var summary: EncodingPlan.Alternative
    }

    private func draft(
        _ storage: StorageClass, _ target: EncodingPlan.Options.Target?,
        _ curves: [Int: RateCurve]
    ) throws(QuantizationError) -> Draft {
        let choices = try RateShares(self, storage, curves).choose(target)
        let plan = EncodingPlan(
            entries: requests.indices.map { entry($0, storage, choices[$0], curves[$0]) },
            options: options)
        let loss = choices.reduce(0.0) {
            $0 + importance(requests[$1.key].tensor) * $1.value.loss
        }
        let bytes = Quantizer(source, plan: plan, threads: 1).plannedBytes
        let summary = EncodingPlan.Alternative(
            storage: storage, fileBytes: bytes, bitsPerWeight: plan.bitsPerWeight,
            divergence: options.calibration?.divergence(of: loss),
            tokensPerSecond: options.pace?.tokensPerSecond(
                plan.entries, tiedHead: source.config.tieWordEmbeddings))
        return Draft(storage: storage, target: target, plan: plan, loss: loss, summary: summary)
    }

    func importance(_ tensor: SourceTensor) -> Double {
        options.calibration?.importance(of: tensor.name) ?? Importance.of(tensor, source.config)
    }

    func weights(_ index: Int) -> Int {
        requests[index].tensor.rows * requests[index].tensor.columns
    }

    func entry(
        _ index: Int, _ storage: StorageClass, _ choice: RateCurve.Point?, _ curve: RateCurve?
    ) -> EncodingPlan.Entry {
        let tensor = requests[index].tensor
        if case .encoding(let encoding) = requests[index].how {
            return EncodingPlan.plain(tensor, encoding)
        }
        // Before anything is chosen: the encoding with more tiles.
        let choice =
            choice
            ?? RateCurve.Point(
                encoding: .int8, storage: storage, step: 1, cost: 1, error: 1, loss: 1)
        let deviation = curve?.deviation ?? 1
        if choice.storage == .plain {
            var entry = EncodingPlan.plain(tensor, choice.encoding)
            entry.relativeError = choice.error.squareRoot()
            return entry
        }
        return EncodingPlan.Entry(
            tensor: tensor, encoding: choice.encoding, exact: false,
            steps: choice.trellis == nil
                ? UniformSteps(
                    step: Float(choice.step) * deviation, deviation: deviation,
                    frequency: RowFrequency(tensor, source.config)) : nil,
            trellis: choice.trellis, byteCount: Int(choice.cost * Double(weights(index))),
            relativeError: choice.error.squareRoot(), storage: choice.storage)
    }
}
