import Foundation
import TesseraMachine
import Testing

/// Threads have the niceness of the process.
@Suite struct NicenessTests {
    private static let kind = __priority_which_t(PRIO_PROCESS.rawValue)

    private static func ofThisThread() -> Int32 { getpriority(kind, 0) }

    /// The system's pool of threads changes the niceness where it may.
    @Test(.enabled(if: geteuid() == 0, "only root makes a thread less nice"))
    func aThreadFollowsTheMainThread() throws {
        final class Seen: @unchecked Sendable { var values: [Int32] = [] }
        let seen = Seen()
        let main = getpriority(Self.kind, id_t(getpid()))
        let thread = try #require(
            WorkerThread {
                setpriority(Self.kind, 0, max(-20, main - 5))
                seen.values.append(Self.ofThisThread())
                Niceness.followMainThread()
                seen.values.append(Self.ofThisThread())
                setpriority(Self.kind, 0, min(19, main + 5))
                Niceness.followMainThread()
                seen.values.append(Self.ofThisThread())
            })
        thread.join()
        #expect(seen.values == [max(-20, main - 5), main, min(19, main + 5)])
    }
}
