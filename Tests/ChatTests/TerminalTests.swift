import Foundation
import TesseraTestSupport
import Testing

/// `tessera chat` at a terminal, which `script` makes.
@Suite(.serialized, .enabled(if: TerminalRun.isPossible)) struct TerminalTests {
    private let home: Home

    init() throws { home = try Home() }

    @Test(.timeLimit(.minutes(30))) func linesAreEditedAndRemembered() throws {
        let run = try TerminalRun(home, ["chat", Models.standard])
        #expect(run.wait(for: "/help lists commands"))
        // A wrong character taken back; one put in after a step to the left.
        run.type("/set sx\u{7f}ed 77\u{1b}[D\u{1b}[D\u{1b}[D\u{1b}[D\u{1b}[De\r")
        run.type("/set\r")
        #expect(run.wait(for: "seed 77"))
        run.type("/set seed 78\r")
        run.type("\u{1b}[A\u{1b}[A\r")  // the line before the last
        #expect(run.wait(for: "seed 78\r\nmax-tokens"))
        run.type("\u{4}")
        #expect(run.end() == 0)
        let history = try String(
            contentsOfFile: home.path("state/tessera/history"), encoding: .utf8)
        #expect(history.contains("seed"))
        let again = try TerminalRun(home, ["chat", Models.standard])
        #expect(again.wait(for: "/help lists commands"))
        again.type("\u{1b}[A\r")
        #expect(again.wait(for: "max-tokens 1024"))
        again.type("/exit\r")
        #expect(again.end() == 0)
    }

    @Test(.timeLimit(.minutes(30))) func pastedLinesAreOneMessageOfAnyLength() throws {
        let run = try TerminalRun(home, ["chat", Models.standard, "-n", "1"])
        #expect(run.wait(for: "\u{1b}[?2004h"))
        let words = String(repeating: "cookies ", count: 60)
        let text = (0..<10).map { "Line \($0): é, 🙂 \(words)" }.joined(separator: "\r")
        run.type("\u{1b}[200~\(text)\u{1b}[201~\r/save \(home.path("talk.json"))\r")
        run.type("/exit\r")
        #expect(run.end() == 0)
        #expect(try home.messages("talk.json").first == text.replacing("\r", with: "\n"))
    }

    @Test(.timeLimit(.minutes(30)), arguments: [SIGWINCH, SIGCONT])
    func theLineIsDrawnAnewAfterASignalThatChangesTheTerminal(_ number: Int32) throws {
        let run = try TerminalRun(home, ["chat", Models.standard])
        #expect(run.wait(for: "/help lists commands"))
        run.type("/set seed 4")
        #expect(run.wait(for: "/set seed 4"))
        run.send(signal: number)
        #expect(run.wait(for: "/set seed 4", times: 2))
        run.type("2\r/set\r")
        #expect(run.wait(for: "seed 42\r\nmax-tokens"))
        run.type("/exit\r")
        #expect(run.end() == 0)
    }

    @Test(.timeLimit(.minutes(30))) func ctrlCThrowsTheLineAwayAndTwiceEnds() throws {
        let run = try TerminalRun(home, ["chat", Models.standard])
        #expect(run.wait(for: "/help lists commands"))
        run.type("/frob")
        #expect(run.wait(for: "/frob"))
        run.type("\u{3}")
        #expect(run.wait(for: "once more ends"))
        run.type("/set\r")
        #expect(run.wait(for: "max-tokens 1024"))
        run.type("\u{3}")
        #expect(run.wait(for: "once more ends", times: 2))
        run.type("\u{3}")
        #expect(run.end() == 130)
        #expect(!run.output.contains("no command"))
    }
}

/// The program at a terminal of its own.
final class TerminalRun: @unchecked Sendable {
    /// Whether there are `script` and libedit.
    static var isPossible: Bool {
        let folders = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"]
        let files = FileManager.default
        return files.isExecutableFile(atPath: "/usr/bin/script")
            && folders.contains { files.fileExists(atPath: $0 + "/libedit.so.2") }
    }

    private let process = Process()
    private let input = Pipe()
    private let lock = NSLock()
    private var bytes = Data()
    private let pipe = Pipe()

    init(_ home: Home, _ arguments: [String]) throws {
        let words = [Program.path] + arguments
        process.executableURL = URL(filePath: "/usr/bin/script")
        process.arguments = [
            "--quiet", "--flush", "--return", "--command",
            words.map { "'\($0)'" }.joined(separator: " "), "/dev/null",
        ]
        process.environment = home.environment.merging(["SHELL": "/bin/sh", "LC_ALL": "C"]) {
            $1
        }
        process.standardInput = input
        process.standardOutput = pipe
        pipe.fileHandleForReading.readabilityHandler = { [self] handle in
            let more = handle.availableData
            if more.isEmpty { handle.readabilityHandler = nil }
            lock.withLock { bytes.append(more) }
        }
        try process.run()
    }

    /// All that the terminal has shown.
    var output: String { lock.withLock { String(decoding: bytes, as: UTF8.self) } }

    func type(_ text: String) {
        try? input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    }

    /// Waits until the terminal shows `text`; false if the run ends without it.
    func wait(for text: String, times: Int = 1) -> Bool {
        while output.components(separatedBy: text).count <= times {
            guard process.isRunning else { return false }
            usleep(10_000)
        }
        return true
    }

    /// Sends a signal to the program, which is the last of `script`'s descendants.
    func send(signal number: Int32) {
        var last = process.processIdentifier
        while let child = Self.child(of: last) { last = child }
        kill(last, number)
    }

    private static func child(of process: Int32) -> Int32? {
        let path = "/proc/\(process)/task/\(process)/children"
        let text = try? String(contentsOfFile: path, encoding: .utf8)
        return text?.split(separator: " ").first.flatMap { Int32($0) }
    }

    /// The exit status, once the program has ended.
    func end() -> Int32 {
        process.waitUntilExit()
        try? input.fileHandleForWriting.close()
        return process.terminationStatus
    }
}
