internal import TesseraReporting
internal import TesseraResidency
internal import TesseraMachine
internal import TesseraWeightFile

extension ModelOptions {
    /// Threads that are asked for, but no more than there are processors: more would take turns and
    /// wait for each other in every step.
    var usedThreads: Int? { threads.map { min($0, Processors.allowed()) } }

    func noteThreads() {
        guard let threads, let used = usedThreads, used < threads else { return }
        Terminal.note(
            "tessera: --threads \(threads): this process may use \(used) "
                + "processor\(used == 1 ? "" : "s"), so \(used) thread\(used == 1 ? "" : "s") run")
    }
}

extension WeightNotice {
    /// One line for people.
    var sentence: String {
        switch self {
        case .fileTouched(let path, let checked, let all) where checked == all:
            "'\(path)' was touched while in use; its weights are unchanged"
        case .fileTouched(let path, let checked, let all):
            "'\(path)' was touched while in use; \(checked) of \(all) tiles were checked and are "
                + "unchanged ('tessera verify' checks all)"
        case .memoryLowered(let plan):
            "a control group allows less memory now: \(Format.bytes(plan.hotBytes)) of weights stay, "
                + "\(Format.bytes(plan.streamedBytes)) are read in each pass"
        }
    }
}
