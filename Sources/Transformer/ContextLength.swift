public import TesseraResidency
public import TesseraWeightFile

/// The lengths that a context may have.
extension Model {
    /// The longest context that memory has room for.
    ///
    /// - Parameters:
    ///   - wanted: Positions that will be needed; the model's own maximum is never exceeded.
    ///   - isGood: Tells whether the plan of a run with this context will do. What holds for a context has to
    ///     hold for each shorter one.
    /// - Returns: Positions; 0 where not even the shortest context is good.
    public static func longestContext(
        _ file: WeightFile, upTo wanted: Int, options: Options,
        where isGood: (ResidencyPlan) -> Bool = { _ in true }
    ) -> Int {
        func fits(_ context: Int) -> Bool {
            var options = options
            options.contextLength = context
            guard let plan = try? plan(file, options: options) else { return false }
            return isGood(plan)
        }
        let most = min(wanted, file.config.maxPositions)
        if fits(most) { return most }
        var good = 0
        var bad = most
        while bad - good > max(1, good / 64) {
            let middle = good + (bad - good) / 2
            if fits(middle) { good = middle } else { bad = middle }
        }
        return good
    }

    /// A context for conversations, whose length nobody knows. It is the model's own maximum, or the longest
    /// with which all weights stay in memory. Where the weights do not fit anyway, it takes an eighth of the
    /// memory, at least 512 and at most 4096 positions.
    public static func conversationContext(_ file: WeightFile, options: Options) -> Int {
        let config = file.config
        let least = Options.context(
            config, in: options.memory ?? .unlimited, options.kvEncoding)
        // A longer one would turn short texts as long ones, which costs the model something.
        let most = config.longestPlainContext ?? config.maxPositions
        let resident = longestContext(file, upTo: most, options: options, where: \.isResident)
        return max(least, resident)
    }
}
