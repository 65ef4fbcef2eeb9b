internal import TesseraImport
internal import TesseraKernels
internal import TesseraWeightFile

extension RatePlanner {
    /// Measures costs and losses of the ways to store each matrix.
    ///
    /// - Parameter progress: Matrices measured.
    func measure(
        _ indices: [Int], _ storage: StorageClass, _ isCancelled: () -> Bool,
        progress: (Int) -> Void
    ) async throws -> [Int: RateCurve] {
        var curves: [Int: RateCurve] = [:]
        try await each(indices, isCancelled) { index in
            let sample = try TileSample(requests[index].tensor, of: source, storage: storage)
            let feedback = feedback(index, storage)
            switch storage {
            case .plain:
                // Fewer starting points than for the file, which would come a percent or two closer.
                return try sample.plainWays(
                    candidates: min(1, options.candidates), feedback: feedback)
            case .trellis:
                let shares = try TileShares(requests[index].tensor, of: source)
                return try sample.trellises(feedback: feedback, shares: shares)
            case .zstd, .rans:
                return try RateCurve(deviation: sample.deviation) {
                    try sample.measure($0, storage: storage, step: $1, feedback: feedback)
                }
            }
        } finished: { index, curve in
            curves[index] = curve
            progress(curves.count)
        }
        return curves
    }

    /// For entropy coders: measures the rates that were interpolated, and corrects their costs.
    func correct(
        _ curves: inout [Int: RateCurve], _ indices: [Int], _ storage: StorageClass,
        _ target: EncodingPlan.Options.Target, _ isCancelled: () -> Bool
    ) async throws {
        guard storage == .zstd || storage == .rans,
            let choices = try? RateShares(self, storage, curves).choose(target)
        else { return }
        var costs: [Int: Double] = [:]
        try await each(indices, isCancelled) { index in
            guard let choice = choices[index], choice.storage == storage else { return 0 }
            let sample = try TileSample(requests[index].tensor, of: source, storage: storage)
            return try sample.measure(
                choice.encoding, storage: storage, step: choice.step,
                feedback: feedback(index, storage)
            ).cost
        } finished: { index, cost in
            costs[index] = cost
        }
        for index in indices {
            guard let choice = choices[index], choice.storage == storage, let cost = costs[index]
            else { continue }
            curves[index]?.correct(choice, cost: cost)
        }
    }

    /// The same plan with the tables of its trellises made for each matrix.
    func trained(_ plan: EncodingPlan, _ isCancelled: () -> Bool) async throws -> EncodingPlan {
        var plan = plan
        let entries = plan.entries
        let indices = entries.indices.filter { entries[$0].trellis != nil }
        try await each(indices, isCancelled) { index -> TrellisMix? in
            let sample = try TileSample(entries[index].tensor, of: source, storage: .trellis)
            return entries[index].trellis.map(sample.trained)
        } finished: { index, mix in
            plan.entries[index].trellis = mix
        }
        return plan
    }

    private func feedback(_ index: Int, _ storage: StorageClass) -> ColumnFeedback? {
        options.calibration?.feedback(of: requests[index].tensor.name, storage)
    }

    /// Does `work` for each index on all threads.
    private func each<Result: Sendable>(
        _ indices: [Int], _ isCancelled: () -> Bool,
        _ work: @escaping @Sendable (Int) throws -> Result, finished: (Int, Result) -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: (Int, Result).self) { group in
            for (number, index) in indices.enumerated() {
                if number >= threads, let (done, result) = try await group.next() {
                    finished(done, result)
                }
                guard !isCancelled() else { throw QuantizationError.cancelled }
                group.addTask { (index, try work(index)) }
            }
            while let (done, result) = try await group.next() { finished(done, result) }
        }
    }
}
