internal import ArgumentParser
internal import Reporting
internal import Residency
internal import Transformer
internal import WeightFile

struct EstimateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "estimate",
        abstract: "Says what a model would take in memory, without loading it.",
        usage: "tessera estimate MODEL [--ram SIZE] [--ctx POSITIONS] [--json]",
        discussion: """
            Prints the plan that generate and chat follow: weights that stay in memory, weights that are
            read from disk in each pass, cache and buffers. Exit status 0: all weights fit; 1: they do
            not, and some are read in every pass, or even that needs more memory.

            Examples:
              tessera estimate model.tsr
              tessera estimate model.tsr --ram 3G --ctx 2048
              tessera estimate model.tsr --ram 2G --json | jq .hit_rate
            """)

    @Argument(help: "A .tsr file.", completion: .file(extensions: ["tsr"]))
    var model: String

    @OptionGroup(title: "Model") var modelOptions: ModelOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Do not read from the disk to see how fast it is.")
    var noDisk = false

    func run() async throws {
        try await reportingErrors {
            let file = try WeightFile(path: model)
            let options = modelOptions.options(for: file, logitCapacity: 64)
            let context = options.contextLength ?? 0
            let (plan, pace) = try plan(file, options, context: context)
            if json {
                let members: [(String, JSONOutput)] = [
                    ("schema_version", 1), ("model", .string(file.config.name)),
                    ("fits", .bool(plan.isResident)), ("runs", .bool(true)),
                    ("context", .int(context)),
                ]
                Terminal.write(JSONOutput.object(members + plan.json(pace)).text + "\n")
            } else {
                Terminal.write(
                    "\(file.config.name), \(context) positions\n\(plan.report(pace))\n")
            }
            if !plan.isResident { throw ExitCode(1) }
        }
    }

    /// The plan and the pace; where there is no plan, says so and ends.
    private func plan(
        _ file: WeightFile, _ options: Transformer.Options, context: Int
    ) throws -> (ResidencyPlan, ReadingPace?) {
        do throws(TransformerError) {
            guard !noDisk else { return (try Transformer.plan(file, options: options), nil) }
            return try Transformer.measuredPlan(file, options: options)
        } catch {
            guard case .residency(.tooLittle(let budget, let needed)) = error else { throw error }
            if json {
                let members: [(String, JSONOutput)] = [
                    ("schema_version", 1), ("model", .string(file.config.name)),
                    ("fits", false), ("runs", false), ("context", .int(context)),
                    ("budget_bytes", .int(budget)), ("needed_bytes", .int(needed)),
                ]
                Terminal.write(JSONOutput.object(members).text + "\n")
            }
            throw CommandError(.failure, error.description)
        }
    }
}
