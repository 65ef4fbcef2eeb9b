internal import ArgumentParser
internal import Kernels
internal import Profiling

/// Another machine, whose speed is to be predicted.
struct PredictionOptions: ParsableArguments {
    @Option(help: "Predict for the machine that this output of 'tessera doctor --json' describes.")
    var machine: String?

    @Option(help: "Predict for memory that reads so many GB/s.")
    var readRate: Double?

    @Option(help: "Predict for a processor of so many 8-bit G MAC/s.")
    var multiplyRate: Double?

    @Option(help: "Predict for so many GB of memory.")
    var memory: Double?

    @Option(help: "Predict for a disk that reads so many GB/s.")
    var diskRate: Double?

    @Option(help: "Tokens that a pass over several positions gives, for predicted tokens/s.")
    var tokensPerPass: Double?

    func validate() throws {
        let numbers = [readRate, multiplyRate, memory, diskRate, tokensPerPass].compactMap { $0 }
        guard numbers.allSatisfy({ $0 > 0 && $0 < 1e9 }) else {
            throw ValidationError("a machine to predict for has rates and sizes above 0")
        }
    }

    /// Refuses a file that describes no machine, before anything is measured.
    func check() throws {
        if let machine { _ = try TargetMachine(path: machine) }
    }

    /// The machine asked for, with `here` where nothing is said; nil where nothing is asked.
    func target(here: MachineLimits) throws -> TargetMachine? {
        let isAsked =
            machine != nil
            || [readRate, multiplyRate, memory, diskRate, tokensPerPass].contains { $0 != nil }
        guard isAsked else { return nil }
        var target = TargetMachine(limits: here)
        if let machine { target = try TargetMachine(path: machine) }
        if let readRate { target.limits.readBytesPerSecond = readRate * 1e9 }
        if let multiplyRate { target.limits.int8MacsPerSecond = multiplyRate * 1e9 }
        if let memory { target.memoryBytes = memory * 1e9 }
        if let diskRate { target.diskBytesPerSecond = diskRate * 1e9 }
        return target
    }
}
