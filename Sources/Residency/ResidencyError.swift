/// Why a model could not be set up in the available memory, or why its weights cannot be used any more.
public enum ResidencyError: Error, Equatable, CustomStringConvertible {
    /// Less memory than the model needs without its weights; `needed` is in bytes.
    case tooLittle(MemoryBudget, needed: Int)
    /// The system gave no memory for the weights that stay, in bytes.
    case noMemory(Int)
    /// The system gave no threads for reading.
    case noThreads
    /// A coded tile cannot be decoded.
    case damaged
    /// The file cannot be read, in the words of the system.
    case unreadable(path: String, reason: String)
    /// The weights in use have changed, or have no room any more. The text says what happened and what to do.
    case lost(String)

    public var description: String {
        switch self {
        case .tooLittle(let budget, let needed): Self.tooLittle(budget, needed)
        case .noMemory(let bytes):
            "the system gave no \(bytes >> 20) MiB of memory for weights; give less with --ram"
        case .noThreads: "the system gave no threads for reading weights"
        case .damaged: "weights are damaged; run 'tessera verify', then make the file anew"
        case .lost(let reason): reason
        case .unreadable(let path, let reason):
            "'\(path)': weights cannot be read (\(reason)); check the disk, then 'tessera verify'"
        }
    }

    private static func tooLittle(_ budget: MemoryBudget, _ needed: Int) -> String {
        let least = budget.units.text(needed, isLeast: true)
        let given = budget.units.text(budget.bytes)
        let start =
            switch budget.source {
            case .option: "--ram \(given) is not enough"
            case .machine: "this machine has \(given) of memory free, which is not enough"
            case .controlGroup: "control groups leave \(given) of memory, which is not enough"
            }
        let advice =
            switch budget.source {
            case .option where budget.bytes < 1024:
                "give --ram \(least) or more; a size without a unit is in bytes"
            case .option: "give --ram \(least) or more, or a shorter --ctx"
            case .machine: "give a shorter --ctx"
            case .controlGroup: "raise the limit, or give a shorter --ctx"
            }
        return "\(start): the program, the cache, buffers and the window for streaming take "
            + "\(least); \(advice)"
    }
}
