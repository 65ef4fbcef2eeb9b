internal import ArgumentParser
internal import TesseraChat
internal import Glibc
internal import Tessera

/// A user's messages and commands, from a terminal or another program.
final class ChatReader {
    /// Whether a person is asked for them.
    let asks = isatty(STDIN_FILENO) == 1
    private let editor = LineEditor(historyPath: StateFile.path("history"))
    private var lines = LineReader()
    /// Ctrl-C was the last that was typed.
    private var wasInterrupted = false

    /// The next message or command; nil after the last. A line that ends in a backslash goes on in the
    /// next one.
    func next() throws -> String? {
        var text: String?
        while let line = try line(isFurther: text != nil) {
            switch line {
            case .end: return text
            case .interrupted:
                guard text != nil || !wasInterrupted else {
                    throw ExitCode(ExitStatus.interrupted.rawValue)
                }
                text = nil
                wasInterrupted = true
                Terminal.note("(Ctrl-C once more ends the program)")
            case .text(let line):
                wasInterrupted = false
                let whole = (text.map { $0 + "\n" } ?? "") + line
                guard whole.hasSuffix("\\") else {
                    if !ChatLine.trimmed(whole).isEmpty { editor?.remember(whole) }
                    return whole
                }
                text = String(whole.dropLast())
            }
        }
        return text
    }

    private func line(isFurther: Bool) throws -> LineEditor.Line? {
        if let editor { return try editor.line(isFurther: isFurther) }
        if asks { Terminal.write(isFurther ? "| " : "> ", to: STDERR_FILENO) }
        guard let text = try lines.next() else {
            if asks { Terminal.write("\n", to: STDERR_FILENO) }
            return .end
        }
        return .text(text)
    }
}

/// Files that the program keeps for its user, and that are no cache.
enum StateFile {
    /// A file in `$XDG_STATE_HOME/tessera` or `~/.local/state/tessera`, whose folder is made where it is
    /// missing; nil if there is no home.
    static func path(_ name: String) -> String? {
        func absolute(_ name: String) -> String? {
            Terminal.environment(name).flatMap { $0.hasPrefix("/") ? $0 : nil }
        }
        let state = absolute("XDG_STATE_HOME") ?? absolute("HOME").map { $0 + "/.local/state" }
        guard let path = state.map({ "\($0)/tessera/\(name)" }) else { return nil }
        CacheFile.makeFolder(of: path, depth: 3)
        return path
    }
}
