internal import Glibc
internal import Synchronization
internal import TesseraWeightFile

/// First SIGINT, SIGTERM or SIGHUP: asks the running command to stop at its next safe point. A second
/// one ends the program at once.
enum Interruption {
    private static let signalNumber = Atomic<Int32>(0)

    static func install() {
        _ = Wakeup.descriptor  // made here, not in a handler
        clear()
        for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) {
            signal(number) { number in
                guard Interruption.signalNumber.exchange(number, ordering: .relaxed) == 0 else {
                    TemporaryFiles.removeAll()
                    TerminalMode.restore()
                    _exit(128 + number)
                }
                Wakeup.signal()
            }
        }
    }

    /// Whether this program's parent has it ignored, as `nohup` has SIGHUP.
    private static func isIgnored(_ number: Int32) -> Bool {
        var action = sigaction()
        guard number == SIGHUP, unsafe sigaction(number, nil, &action) == 0 else { return false }
        return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
            == unsafeBitCast(SIG_IGN, to: Int.self)
    }

    /// Lets the program go on.
    static func clear() {
        signalNumber.store(0, ordering: .relaxed)
        Wakeup.clear()
    }

    static var isRequested: Bool { signalNumber.load(ordering: .relaxed) != 0 }

    static var status: ExitStatus {
        switch signalNumber.load(ordering: .relaxed) {
        case SIGTERM: .terminated
        case SIGHUP: .hungUp
        default: .interrupted
        }
    }
}
