public import Import
internal import Kernels
internal import WeightFile

/// Plans a file of any size: measures what coding each matrix costs and loses by step, and shares the
/// bytes out so that the whole loses least.
public struct RatePlanner: Sendable {
    private let source: any TensorSource
    private let options: EncodingPlan.Options
    private let requests: [EncodingPlan.Request]
    private let threads: Int

    public init(
        _ source: any TensorSource, options: EncodingPlan.Options, threads: Int
    ) throws(QuantizationError) {
        self.source = source
        self.options = options
        self.threads = max(1, threads)
        requests = try EncodingPlan.requests(
            for: source.tensors, tiedHead: source.config.tieWordEmbeddings, options)
    }

    /// - Parameter progress: Matrices measured and in total.
    public func plan(
        progress: (Int, Int) -> Void, isCancelled: () -> Bool
    ) async throws -> EncodingPlan {
        var curves: [Int: RateCurve] = [:]
        let coded = requests.indices.filter {
            if case .encoding = requests[$0].how { false } else { true }
        }
        try await each(coded, isCancelled) { index in
            let sample = try TileSample(
                requests[index].tensor, of: source, storage: options.storage)
            let feedback = self.feedback(index)
            switch options.storage {
            case .plain:
                return try sample.plainWays(candidates: options.candidates, feedback: feedback)
            case .trellis:
                let shares = try TileShares(requests[index].tensor, of: source)
                return try sample.trellises(feedback: feedback, shares: shares)
            case .zstd, .rans:
                return try RateCurve(deviation: sample.deviation) {
                    try sample.measure($0, storage: options.storage, step: $1, feedback: feedback)
                }
            }
        } finished: { index, curve in
            curves[index] = curve
            progress(curves.count, coded.count)
        }
        var choices = try choose(curves)
        guard options.storage == .zstd || options.storage == .rans else {
            return plan(choices, curves)
        }
        // What was interpolated is measured, and what it costs corrected.
        var costs: [Int: Double] = [:]
        try await each(coded, isCancelled) { [choices] index in
            let sample = try TileSample(
                requests[index].tensor, of: source, storage: options.storage)
            guard let choice = choices[index] else { return 0 }
            return try sample.measure(
                choice.encoding, storage: options.storage, step: choice.step,
                feedback: feedback(index)
            ).cost
        } finished: { index, cost in
            costs[index] = cost
        }
        for index in coded {
            guard let choice = choices[index], let cost = costs[index] else { continue }
            curves[index]?.correct(choice, cost: cost)
        }
        choices = try choose(curves)
        return plan(choices, curves)
    }

    private func plan(
        _ choices: [Int: RateCurve.Point], _ curves: [Int: RateCurve]
    ) -> EncodingPlan {
        EncodingPlan(
            entries: requests.indices.map { entry($0, choices[$0], curves[$0]) },
            options: options)
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

    /// The way of each coded matrix.
    private func choose(
        _ curves: [Int: RateCurve]
    ) throws(QuantizationError) -> [Int: RateCurve.Point] {
        var choices: [Int: RateCurve.Point] = [:]
        for (index, curve) in curves {
            guard case .rate(let bits) = requests[index].how else { continue }
            choices[index] = RateAllocation.best(curve.points, cost: bits / 8)
        }
        let shared = curves.keys.filter { choices[$0] == nil }.sorted()
        guard let target = options.target, !shared.isEmpty else { return choices }
        // Where tiles begin depends on encodings, so that the first plan's sizes are not yet exact.
        for _ in 0..<2 {
            let items = shared.compactMap { index in
                curves[index].map {
                    RateAllocation.Item(
                        points: $0.points, weights: weights(index),
                        importance: importance(requests[index].tensor))
                }
            }
            let fixed = fixedBytes(target, choices, curves)
            let wanted = bytes(target, shared)
            guard let allocation = RateAllocation(items, bytes: Double(wanted - fixed)) else {
                let least = items.reduce(0.0) { sum, item in
                    sum + Double(item.weights) * (item.points.map(\.cost).min() ?? 0)
                }
                throw .tooSmall(bytes: wanted, least: fixed + Int(least))
            }
            for (index, choice) in zip(shared, allocation.choices) { choices[index] = choice }
        }
        return choices
    }

    private func feedback(_ index: Int) -> ColumnFeedback? {
        options.calibration?.feedback[requests[index].tensor.name]
    }

    private func importance(_ tensor: SourceTensor) -> Double {
        options.calibration?.importance(of: tensor.name) ?? Importance.of(tensor, source.config)
    }

    private func weights(_ index: Int) -> Int {
        requests[index].tensor.rows * requests[index].tensor.columns
    }

    /// Bytes asked for, of what the target counts.
    private func bytes(_ target: EncodingPlan.Options.Target, _ shared: [Int]) -> Int {
        switch target {
        case .codes(let bits): codeBytes(bits, shared)
        case .fileBytes(let bytes): bytes
        case .bitsPerWeight(let bits):
            Int(bits / 8 * Double(requests.indices.reduce(0) { $0 + weights($1) }))
        }
    }

    /// What the matrices take where all have codes of so many bits, and 4 % more, so that some can have finer ones.
    private func codeBytes(_ bits: Int, _ shared: [Int]) -> Int {
        let encoding = TensorEncoding.nested(bits: bits) ?? .int8
        let whole = shared.reduce(0) { sum, index in
            let tensor = requests[index].tensor
            return sum
                + TensorRecord.byteCount(
                    encoding: encoding, rows: tensor.rows, columns: tensor.columns)
        }
        return whole + whole / 25
    }

    /// Bytes that are not shared out: of plain tensors, of coded ones with a rate of their own and, where
    /// the file is counted, of all that is no tensor.
    private func fixedBytes(
        _ target: EncodingPlan.Options.Target, _ choices: [Int: RateCurve.Point],
        _ curves: [Int: RateCurve]
    ) -> Int {
        let entries = requests.indices.map { entry($0, choices[$0], curves[$0]) }
        var (own, rest, shared) = (0, 0, 0)
        for (request, entry) in zip(requests, entries) {
            switch request.how {
            case .rate: own += entry.byteCount
            case .encoding: rest += entry.byteCount
            case .share where entry.storage == .plain: shared += entry.byteCount
            case .share: break
            }
        }
        switch target {
        case .codes: return 0
        case .bitsPerWeight: return own + rest
        case .fileBytes: break
        }
        let specs = EncodingPlan(entries: entries, options: options).specs
        let tiles = specs.map { ($0.rows - 1) / $0.tileRows + 1 }
        let empty = WeightFileWriter.plannedBytes(
            config: source.config, tokenizer: source.tokenizer,
            chatTemplate: source.chatTemplate, tensors: specs, source: source.origin,
            tileBytes: [Int](repeating: 0, count: tiles.reduce(0, +)))
        // Costs of coded tensors hold their part of the tile table.
        let table = zip(specs, tiles).reduce(0) { sum, part in
            sum + (part.0.storage == .plain ? 0 : part.1 * TensorRecord.tileEntryBytes)
        }
        return own + empty - shared - table
    }

    private func entry(
        _ index: Int, _ choice: RateCurve.Point?, _ curve: RateCurve?
    ) -> EncodingPlan.Entry {
        let tensor = requests[index].tensor
        if case .encoding(let encoding) = requests[index].how {
            return EncodingPlan.plain(tensor, encoding)
        }
        // Before anything is chosen: the encoding with more tiles.
        let choice =
            choice
            ?? RateCurve.Point(
                encoding: .int8, storage: options.storage, step: 1, cost: 1, error: 1, loss: 1)
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
