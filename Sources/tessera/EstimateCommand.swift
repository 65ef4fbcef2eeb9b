internal import ArgumentParser
internal import TesseraKernels
internal import TesseraProfiling
internal import TesseraReporting
internal import TesseraResidency
internal import Tessera
internal import TesseraTransformer
internal import TesseraWeightFile

struct EstimateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "estimate",
        abstract: "Says how much memory a model would take, without loading it.",
        usage: "tessera estimate MODEL [--ram SIZE] [--ctx POSITIONS] [--json]",
        discussion: """
            Prints the plan that generate and chat follow: weights that stay in memory, weights that are \
            read from disk in each pass, cache and buffers. Exit status 0: all weights fit. 1: they do \
            not, and some are read in every pass, or memory is too small even for that. Reading is measured now; \
            how long multiplying takes is not known ('tessera profile' measures it).

            Examples:
              tessera estimate model.tsr
              tessera estimate model.tsr --ram 3G --ctx 2048
              tessera estimate model.tsr --ram 2G --json | jq .hit_rate
            """)

    @Argument(help: "A .tsr file.", completion: .file(extensions: ["tsr"]))
    var model: String

    @OptionGroup(title: "Model") var modelOptions: ModelOptions
    @OptionGroup(title: "Blocks") var blocks: BlockOptions

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Do not read from the disk to see how fast it is.")
    var noDisk = false

    func run() async throws {
        try await reportingErrors {
            let file = try WeightFile(path: model)
            let drafter = try blocks.draftModel(for: file)
            var options = try modelOptions.options(
                for: file, blocks.drafting.engineOptions(file.config.blockDecoding),
                need: .conversation, drafter: drafter)
            let drafterBytes = try drafter?.bytes(nextTo: options)
            options.paces = PaceCache.memory(of: file, modelOptions.io, measures: true)
            modelOptions.noteThreads()
            let context = options.contextLength ?? 0
            let (plan, pace) = try plan(file, options, context: context)
            let rate = noDisk ? nil : try passesPerSecond(plan, pace, options)
            if json {
                let members: [(String, JSONOutput)] = [
                    ("schema_version", 1), ("model", .string(file.config.name)),
                    ("fits", .bool(plan.isResident)), ("runs", .bool(true)),
                    ("context", .int(context)),
                    ("drafter_bytes", drafterBytes.map { .int($0) } ?? .null),
                    ("tokens_per_second_at_most", rate.map { .number($0) } ?? .null),
                ]
                Terminal.write(JSONOutput.object(members + plan.json(pace)).text + "\n")
            } else {
                Terminal.write(
                    "\(file.config.name), \(context) positions\n"
                        + "\(plan.report(pace, passesPerSecond: rate))\n"
                        + (drafterBytes.map { drafterLine($0, plan) } ?? ""))
            }
            if !plan.isResident { throw ExitCode(1) }
        }
    }

    /// Memory that a drafting model takes from the weights.
    private func drafterLine(_ bytes: Int, _ plan: ResidencyPlan) -> String {
        let line =
            "\(blocks.draft) drafts next to it and takes \(Format.bytes(bytes)) of the memory\n"
        guard plan.streamedBytes > 0 else { return line }
        let without = plan.streamedBytes - min(plan.streamedBytes, bytes)
        guard without > 0 else {
            return line + "without it all weights would stay in memory\n"
        }
        let ratio = Format.fixed(Double(plan.streamedBytes) / Double(without), 2)
        return line
            + "passes read \(ratio) times what they would read without it: it pays where they give "
            + "more than \(ratio) times the tokens\n"
    }

    /// Passes per second that reading allows: every weight from memory, and the weights that do not stay from disk.
    private func passesPerSecond(
        _ plan: ResidencyPlan, _ pace: ReadingPace?, _ options: Model.Options
    ) throws -> Double {
        let compute = try Compute(isa: options.isa, threads: options.threads)
        let limits = compute.measureLimits(readBytes: MachineFacts.read().readBytes, runs: 2)
        let memory = Double(plan.weightBytes) / max(1, limits.readBytesPerSecond)
        let disk = pace.map { Double(plan.streamedBytes) / max(1, $0.bytesPerSecond) } ?? 0
        return 1 / max(memory, disk, 1e-9)
    }

    /// The plan and the pace; if there is no plan, says so and ends.
    private func plan(
        _ file: WeightFile, _ options: Model.Options, context: Int
    ) throws -> (ResidencyPlan, ReadingPace?) {
        do throws(TransformerError) {
            guard !noDisk else { return (try Model.plan(file, options: options), nil) }
            return try Model.measuredPlan(file, options: options)
        } catch {
            guard case .residency(.tooLittle(let budget, let needed)) = error else { throw error }
            if json {
                let members: [(String, JSONOutput)] = [
                    ("schema_version", 1), ("model", .string(file.config.name)),
                    ("fits", false), ("runs", false), ("context", .int(context)),
                    ("budget_bytes", .int(budget.bytes)), ("needed_bytes", .int(needed)),
                ]
                Terminal.write(JSONOutput.object(members).text + "\n")
            }
            throw CommandError(.failure, error.description)
        }
    }
}
