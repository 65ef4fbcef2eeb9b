package import TesseraTransformer
package import TesseraWeightFile
internal import TesseraDecoding
internal import TesseraResidency

/// How many texts a model works on at a time, and how it is opened for them.
package struct BatchPlan {
    package let options: TesseraTransformer.Model.Options
    package let places: Int

    /// - Parameters:
    ///   - needs: Positions that each text may take.
    ///   - asked: Texts at a time; nil: as many as make the work faster. Where weights are read from disk in each
    ///     pass, more texts pay, and their caches take at most a quarter of the memory.
    ///   - drafting: The drafting of all decoders.
    ///   - open: Completes the options for the longest text, given its positions: memory, context and everything
    ///     else that the user asked for.
    package init(
        _ file: WeightFile, needs: [Int], asked: Int?, _ drafting: Drafting,
        open: (TesseraTransformer.Model.Options, Int) throws -> TesseraTransformer.Model.Options
    ) throws {
        let needs = needs.sorted(by: >)
        let most = max(1, needs.count)
        func options(_ places: Int) throws -> TesseraTransformer.Model.Options {
            var base = drafting.engineOptions(file.config.blockDecoding, texts: places)
            base.furtherContexts = needs.dropFirst().prefix(places - 1).map {
                min(Batch.contextLength($0), file.config.maxPositions)
            }
            return try open(base, needs.first ?? 0)
        }
        if let asked {
            places = min(asked, most)
            self.options = try options(places)
            return
        }
        let alone = try options(1)
        let plan = try TesseraTransformer.Model.plan(file, options: alone)
        func isGood(_ options: TesseraTransformer.Model.Options) -> Bool {
            guard let shared = try? TesseraTransformer.Model.plan(file, options: options),
                options.contextLength == alone.contextLength
            else { return false }
            return plan.isResident
                ? shared.isResident : shared.needs.cache <= plan.budget.bytes / 4
        }
        for places in stride(from: min(plan.isResident ? 16 : 32, most), to: 1, by: -1) {
            let options = try options(places)
            guard isGood(options) else { continue }
            (self.options, self.places) = (options, places)
            return
        }
        (self.options, places) = (alone, 1)
    }
}
