internal import ArgumentParser
internal import Profiling
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
            read from disk in each pass, cache and buffers. Exit status 0: all weights fit; 1: some
            are read in every pass; 64: even that needs more memory.

            Examples:
              tessera estimate model.tsr
              tessera estimate model.tsr --ram 3G --ctx 2048
              tessera estimate model.tsr --ram 2G --json | jq .hit_rate
            """)

    @Argument(help: "A .tsr file.")
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
            let plan = try Transformer.plan(file, options: options)
            let context = options.contextLength ?? 0
            let rate =
                plan.isResident || noDisk
                ? nil : try DiskProbe.read(model, patience: 0.5).bytesPerSecond
            if json {
                let members: [(String, JSONOutput)] = [
                    ("schema_version", 1), ("model", .string(file.config.name)),
                    ("fits", .bool(plan.isResident)), ("context", .int(context)),
                ]
                Terminal.write(JSONOutput.object(members + plan.json(diskRate: rate)).text + "\n")
            } else {
                Terminal.write(
                    "\(file.config.name), \(context) positions\n\(plan.report(diskRate: rate))\n")
            }
            if !plan.isResident { throw ExitCode(1) }
        }
    }
}
