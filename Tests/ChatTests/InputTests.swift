import Foundation
import Testing

/// Signals that come while the program waits for input.
@Suite struct InputTests {
    /// Whether a thread of the process waits in `poll`, as it does for input.
    private static func waits(_ pid: Int32) -> Bool {
        let tasks = "/proc/\(pid)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        let calls = threads.compactMap {
            try? String(contentsOfFile: "\(tasks)/\($0)/syscall", encoding: .utf8)
        }
        guard !calls.isEmpty else {  // not readable here: time must do
            sleep(2)
            return true
        }
        // The number of the system call: 7 is poll, 271 ppoll on x86-64; 73 is ppoll on arm64.
        return calls.contains { call in ["7 ", "271 ", "73 "].contains { call.hasPrefix($0) } }
    }

    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ["chat", Program.defaultModel], ["generate", Program.defaultModel, "-"],
            ["generate", Program.defaultModel, "-f", "FIFO"],
            ["generate", Program.defaultModel, "--batch", "-"],
            ["tokenize", Program.defaultModel, "-"], ["perplexity", Program.defaultModel, "-"],
        ], [SIGINT, SIGTERM])
    func aSignalEndsTheWaitForInput(_ arguments: [String], _ number: Int32) throws {
        let program = try Program()
        let pipe = program.path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let running = try program.start(arguments.map { $0 == "FIFO" ? pipe : $0 })
        let process = running.process
        while process.isRunning, !Self.waits(process.processIdentifier) { usleep(10_000) }
        kill(process.processIdentifier, number)
        // The input stays open: nothing but the signal ends the program.
        #expect(running.result().status == 128 + number)
        try running.input.fileHandleForWriting.close()
    }
}
