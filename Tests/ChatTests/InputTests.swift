import Foundation
import TesseraTestSupport
import Testing

/// Signals that come while the program waits for input.
@Suite struct InputTests {
    @Test(
        .timeLimit(.minutes(30)),
        arguments: [
            ["chat", Models.standard], ["generate", Models.standard, "-"],
            ["generate", Models.standard, "-f", "FIFO"],
            ["generate", Models.standard, "--batch", "-"], ["tokenize", Models.standard, "-"],
            ["perplexity", Models.standard, "-"],
        ], [SIGINT, SIGTERM])
    func aSignalEndsTheWaitForInput(_ arguments: [String], _ number: Int32) throws {
        let home = try Home()
        let pipe = home.path("pipe")
        #expect(mkfifo(pipe, 0o600) == 0)
        let run = try Program.start(
            arguments.map { $0 == "FIFO" ? pipe : $0 }, environment: home.environment)
        // Asleep twice in turn: it waits for input, and not only for a page of its file.
        #expect(
            run.wait {
                guard run.isWaiting else { return false }
                usleep(200_000)
                return run.isWaiting
            })
        run.send(signal: number)
        // The input stays open: nothing but the signal ends the program.
        #expect(try run.outcome().status == 128 + number)
    }
}
