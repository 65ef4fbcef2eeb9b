internal import ArgumentParser
internal import TesseraKernels
internal import TesseraProfiling

/// Another machine, whose speed is to be predicted.
struct PredictionOptions: ParsableArguments {
    @Option(help: "Predict for the machine that this output of 'tessera doctor --json' describes.")
    var machine: String?

    @Option(help: "Predict for this number of threads of this machine, or of --machine's.")
    var targetThreads: Int?

    @Option(help: "Predict for memory that reads at this rate, in GB/s.")
    var readRate: Double?

    @Option(help: "Predict for a processor with this rate of 8-bit products, in G MAC/s.")
    var multiplyRate: Double?

    @Option(help: "Predict for this much memory, in GB.")
    var memory: Double?

    @Option(help: "Predict for a disk that reads at this rate, in GB/s.")
    var diskRate: Double?

    @Option(help: "Tokens that a pass over several positions gives, for predicted tokens/s.")
    var tokensPerPass: Double?

    func validate() throws {
        let numbers = [readRate, multiplyRate, memory, diskRate, tokensPerPass].compactMap { $0 }
        guard numbers.allSatisfy({ $0 > 0 && $0 < 1e9 }) else {
            throw ValidationError("a machine to predict for has rates and sizes above 0")
        }
        guard targetThreads.map({ $0 > 0 }) ?? true else {
            throw ValidationError("--target-threads takes 1 or more")
        }
    }

    /// Refuses a file that describes no machine, before anything is measured.
    func check() throws {
        if let machine { _ = try TargetMachine(path: machine, threads: targetThreads) }
    }

    /// Whether a prediction is asked for.
    var isAsked: Bool {
        machine != nil || targetThreads != nil
            || [readRate, multiplyRate, memory, diskRate, tokensPerPass].contains { $0 != nil }
    }

    /// The target machine, with values measured here where the user names none; nil if no prediction is asked
    /// for.
    func target(here report: ProfileReport) throws -> TargetMachine? {
        guard isAsked else { return nil }
        var target = TargetMachine(limits: report.limits)
        if let machine {
            target = try TargetMachine(path: machine, threads: targetThreads)
        } else {
            target.diskBytesPerSecond = report.setup.machine.disk?.bytesPerSecond
            if let targetThreads, targetThreads != report.setup.threads {
                target.limits = try report.limits(ofThreads: targetThreads)
            }
            target.threads = targetThreads
        }
        if let readRate { target.limits.readBytesPerSecond = readRate * 1e9 }
        if let multiplyRate { target.limits.int8MacsPerSecond = multiplyRate * 1e9 }
        if let memory { target.memoryBytes = memory * 1e9 }
        if let diskRate { target.diskBytesPerSecond = diskRate * 1e9 }
        return target
    }
}
