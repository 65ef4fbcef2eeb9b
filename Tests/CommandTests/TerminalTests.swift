import Foundation
import TesseraTestSupport
import Testing

/// Output on terminals of all kinds.
@Suite struct TerminalTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    /// Runs `quantize` on a terminal with this many columns and returns the output.
    private func drawn(term: String, columns: Int) throws -> String {
        let script = """
            import fcntl, os, pty, struct, sys, termios
            pid, terminal = pty.fork()
            if pid == 0:
                os.execv(sys.argv[2], sys.argv[2:])
            fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, int(sys.argv[1]), 0, 0))
            while True:
                try:
                    part = os.read(terminal, 65536)
                except OSError:
                    break
                if not part:
                    break
                sys.stdout.buffer.write(part)
            sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            """
        let path = try folder.write(script, to: "terminal.py")
        let run = try Program.shell(
            "python3 \(path) \(columns) \"$T\" quantize \(Models.folder) --bits 5 --dry-run",
            environment: ["TERM": term])
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.output.contains("total "))
        return run.output
    }

    @Test(arguments: [80, 20, 5])
    func theProgressBarKeepsToTheTerminal(columns: Int) throws {
        let bars = try drawn(term: "xterm", columns: columns).components(separatedBy: "\r\u{1b}[K")
            .dropFirst().dropLast()
        #expect(!bars.isEmpty)
        #expect(bars.allSatisfy { $0.count < columns && !$0.contains("\n") }, "\(bars)")
        #expect(bars.contains { $0.hasPrefix("measuring".prefix(columns - 1)) })
    }

    @Test(arguments: ["dumb", ""])
    func aTerminalWithoutEscapesGetsNone(term: String) throws {
        #expect(try !drawn(term: term, columns: 80).contains("\u{1b}"))
    }
}
