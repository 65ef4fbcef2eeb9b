/// Why a model could not be set up within the memory there is.
public enum ResidencyError: Error, Equatable, CustomStringConvertible {
    /// Less memory than what is needed besides the weights; in bytes.
    case tooLittle(budget: Int, needed: Int)
    /// The system gave no memory for the weights that stay, in bytes.
    case noMemory(Int)
    /// The system gave no threads for reading.
    case noThreads
    /// A coded tile cannot be decoded.
    case damaged
    /// The file cannot be read, in the words of the system.
    case unreadable(path: String, reason: String)

    public var description: String {
        switch self {
        case .tooLittle(let budget, let needed):
            "\(budget >> 10) KiB of memory are not enough: cache, buffers and the window for streaming "
                + "take more; ask for a shorter --ctx or give at least --ram \((needed >> 10) + 1)K"
        case .noMemory(let bytes):
            "the system gave no \(bytes >> 20) MiB of memory for weights; give less with --ram"
        case .noThreads: "the system gave no threads for reading weights"
        case .damaged: "weights are damaged; run 'tessera verify', then make the file anew"
        case .unreadable(let path, let reason):
            "'\(path)': weights cannot be read (\(reason)); check the disk, then 'tessera verify'"
        }
    }
}
