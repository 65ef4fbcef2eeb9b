internal import TesseraImport
internal import TesseraWeightFile

/// Shares a target out over the matrices of a plan, within one storage class.
struct RateShares {
    private let planner: RatePlanner
    private let storage: StorageClass
    private let curves: [Int: RateCurve]

    init(_ planner: RatePlanner, _ storage: StorageClass, _ curves: [Int: RateCurve]) {
        self.planner = planner
        self.storage = storage
        self.curves = curves
    }

    /// The way of each measured matrix.
    func choose(
        _ target: EncodingPlan.Options.Target?
    ) throws(QuantizationError) -> [Int: RateCurve.Point] {
        var choices: [Int: RateCurve.Point] = [:]
        for (index, curve) in curves {
            guard case .rate(let bits) = planner.requests[index].how else { continue }
            choices[index] = RateAllocation.best(curve.points, cost: bits / 8)
        }
        let shared = curves.keys.filter { choices[$0] == nil }.sorted()
        guard let target, !shared.isEmpty else { return choices }
        let items = shared.compactMap { index in
            curves[index].map {
                RateAllocation.Item(
                    points: $0.points, weights: planner.weights(index),
                    importance: planner.importance(planner.requests[index].tensor))
            }
        }
        if case .divergence(let most) = target {
            let calibration = planner.options.calibration
            let loss = calibration?.sum(of: most) ?? most
            guard let allocation = RateAllocation(items, loss: loss) else {
                let least = items.reduce(0.0) { sum, item in
                    sum + item.importance * (item.points.map(\.loss).min() ?? 0)
                }
                throw .tooFar(least: calibration?.divergence(of: least) ?? least)
            }
            for (index, choice) in zip(shared, allocation.choices) { choices[index] = choice }
            return choices
        }
        // Where tiles begin depends on encodings, so that the first plan's sizes are not yet exact.
        for _ in 0..<2 {
            let fixed = fixedBytes(target, choices)
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

    /// Bytes of the target that are asked for.
    private func bytes(_ target: EncodingPlan.Options.Target, _ shared: [Int]) -> Int {
        switch target {
        case .codes(let bits): codeBytes(bits, shared)
        case .fileBytes(let bytes): bytes
        case .bitsPerWeight(let bits):
            Int(bits / 8 * Double(planner.requests.indices.reduce(0) { $0 + planner.weights($1) }))
        case .divergence: 0
        }
    }

    /// Bytes of the matrices with codes of this many bits, and 4 % more, so that some can have finer codes.
    private func codeBytes(_ bits: Int, _ shared: [Int]) -> Int {
        let encoding = TensorEncoding.nested(bits: bits) ?? .int8
        let whole = shared.reduce(0) { sum, index in
            let tensor = planner.requests[index].tensor
            return sum
                + TensorRecord.byteCount(
                    encoding: encoding, rows: tensor.rows, columns: tensor.columns)
        }
        return whole + whole / 25
    }

    /// Bytes that are not shared out: those of plain tensors, of coded tensors with a rate of their own and, where
    /// the target is the size of the file, of everything that is not a tensor.
    private func fixedBytes(
        _ target: EncodingPlan.Options.Target, _ choices: [Int: RateCurve.Point]
    ) -> Int {
        let (requests, source) = (planner.requests, planner.source)
        let entries = requests.indices.map {
            planner.entry($0, storage, choices[$0], curves[$0])
        }
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
        case .codes, .divergence: return 0
        case .bitsPerWeight: return own + rest
        case .fileBytes: break
        }
        let specs = EncodingPlan(entries: entries, options: planner.options).specs
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
}
