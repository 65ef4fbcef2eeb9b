internal import Kernels
public import Transformer
internal import WeightFile

/// Times of passes of one size at one context.
public struct PassSamples: Sendable, Equatable {
    public var positions: Int
    public var context: Int
    /// Seconds of each repetition.
    public var seconds: Distribution

    public init(positions: Int, context: Int, seconds: Distribution) {
        self.positions = positions
        self.context = context
        self.seconds = seconds
    }
}

/// Runs passes of several sizes over a model and times them.
public final class PassProfiler {
    private let model: Transformer
    private let options: ProfileOptions
    private let tokens: [Int32]
    /// Time to fill the cache up to each context, from the one before.
    public private(set) var fillSeconds: [Double] = []

    public init(_ model: Transformer, options: ProfileOptions) throws(ProfilingError) {
        try Self.check(options, model)
        self.model = model
        self.options = options
        let count = max(options.positions.max() ?? 1, options.contexts.max() ?? 0)
        tokens = Self.tokens(count, vocabulary: model.config.vocabularySize)
    }

    private static func check(
        _ options: ProfileOptions, _ model: Transformer
    ) throws(ProfilingError) {
        let sizes = options.positions
        guard !sizes.isEmpty, sizes.allSatisfy({ (1...1 << 16).contains($0) }) else {
            throw .badPasses(sizes)
        }
        let contexts = options.contexts
        guard !contexts.isEmpty, contexts.allSatisfy({ (0...1 << 24).contains($0) }) else {
            throw .badContexts(contexts)
        }
        let largest = sizes.max() ?? 1
        guard options.kind == .causal || largest <= model.batchCapacity else {
            throw .openTooLarge(largest, capacity: model.batchCapacity)
        }
        let available = model.cache.contextLength
        guard options.contextLength <= available else {
            throw .contextTooShort(needed: options.contextLength, available: available)
        }
    }

    /// Ids without meaning, the same every time.
    private static func tokens(_ count: Int, vocabulary: Int) -> [Int32] {
        var state: UInt64 = 1
        return (0..<count).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int32((state >> 33) % UInt64(vocabulary))
        }
    }

    /// The very first pass over one token and its logits, which also touches the weights.
    public func firstPass() -> Double {
        model.reset()
        defer { model.reset() }
        return seconds { model.forward(committed: [tokens[0]], logitRows: [0]) }
    }

    /// Passes of every size at every context. Sizes take turns, so that a machine whose speed
    /// drifts does not favour any of them.
    ///
    /// - Parameter progress: Passes timed so far and in total.
    public func run(progress: (Int, Int) -> Void = { _, _ in }) -> [PassSamples] {
        model.reset()
        fillSeconds = []
        var result: [PassSamples] = []
        let contexts = Set(options.contexts).sorted()
        for (index, context) in contexts.enumerated() {
            fill(to: context)
            let counts = options.positions.map { repetitions(of: $0) }
            var samples = options.positions.map { _ in [Double]() }
            let rounds = counts.max() ?? 0
            for round in 0..<rounds {
                for (size, positions) in options.positions.enumerated() where round < counts[size] {
                    samples[size].append(pass(positions))
                }
                progress(index * rounds + round + 1, contexts.count * rounds)
            }
            for (positions, samples) in zip(options.positions, samples) {
                result.append(
                    PassSamples(
                        positions: positions, context: context, seconds: Distribution(samples)))
            }
        }
        model.reset()
        return result
    }

    private func fill(to context: Int) {
        let missing = context - model.position
        let elapsed = seconds {
            if missing > 0 {
                model.forward(committed: Array(tokens[model.position..<context]), logitRows: [])
            }
        }
        fillSeconds.append(elapsed)
    }

    /// Warms up and decides how often to repeat.
    private func repetitions(of positions: Int) -> Int {
        for _ in 0..<max(0, options.warmUp - 1) { _ = pass(positions) }
        let last = options.warmUp > 0 ? pass(positions) : 0
        if let repetitions = options.repetitions { return max(1, repetitions) }
        let affordable = ProfileOptions.secondsPerSize / max(last, 1e-6)
        return Int(
            min(max(affordable, Double(ProfileOptions.fewest)), Double(ProfileOptions.most)))
    }

    /// One pass; the cache is as before afterwards.
    private func pass(_ positions: Int) -> Double {
        let context = model.position
        let input = Array(tokens[..<positions])
        let rows: [Int] =
            switch options.logits {
            case .last: [positions - 1]
            case .all: Array(0..<positions)
            case .none: []
            }
        let elapsed = seconds {
            switch options.kind {
            case .causal: model.forward(committed: input, logitRows: rows)
            case .open: model.forward(committed: [], open: input, logitRows: rows)
            }
        }
        model.truncate(to: context)
        return elapsed
    }
}
