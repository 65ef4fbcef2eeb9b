internal import ArgumentParser
internal import TesseraCEdit
internal import TesseraChat
internal import Glibc

/// Lines that a user types at a terminal, edited by libedit.
@safe final class LineEditor {
    /// The result of editing a line.
    enum Line {
        case text(String)
        /// Ctrl-C: the line is thrown away.
        case interrupted
        /// Ctrl-D on an empty line.
        case end
    }

    /// Never moved, and open to the callback while a line is read.
    private let library = UnsafeMutablePointer<tsr_edit>.allocate(capacity: 1)
    private let historyPath: String?
    private var keys = TerminalKeys()
    /// Characters that have been read and that the editor has not taken.
    private var ready: [Unicode.Scalar] = []

    /// The one editor: libedit's callback has no other way to find it.
    nonisolated(unsafe) private static var current: LineEditor?

    /// nil if standard input or standard error is no terminal that lines can be edited on, or
    /// where libedit is missing.
    ///
    /// - Parameter historyPath: Path of the file that keeps the typed lines; nil for none.
    init?(historyPath: String?) {
        self.historyPath = historyPath
        unsafe library.initialize(to: tsr_edit())
        let terminal = Terminal.environment("TERM") ?? ""
        guard isatty(STDIN_FILENO) == 1, Terminal.errorIsTTY, !["", "dumb"].contains(terminal),
            unsafe tsr_edit_open(library, 1000, { _, place in unsafe LineEditor.next(place) })
        else { return nil }
        if let historyPath { unsafe _ = tsr_edit_read_history(library, historyPath) }
        unsafe Self.current = self
    }

    /// Reads a line.
    ///
    /// - Parameter isFurther: It goes on with the message of the last one.
    /// - Throws: The exit code of SIGTERM.
    func line(isFurther: Bool) throws -> Line {
        TerminalMode.beginPasteMarks()
        defer { TerminalMode.endPasteMarks() }
        var count: Int32 = 0
        let characters = unsafe tsr_edit_line(library, isFurther, &count)
        if Interruption.isRequested {
            Terminal.write("\n", to: STDERR_FILENO)
            guard Interruption.status == .interrupted else {
                throw ExitCode(Interruption.status.rawValue)
            }
            Interruption.clear()
            return .interrupted
        }
        guard let characters = unsafe characters, count > 0 else { return .end }
        var text = ""
        for index in 0..<Int(count) {
            let value = unsafe characters[index]
            text.unicodeScalars.append(Unicode.Scalar(UInt32(bitPattern: value)) ?? "\u{fffd}")
        }
        if text.hasSuffix("\n") { text.removeLast() }
        return .text(TerminalKeys.text(text))
    }

    /// Keeps a message for later lines and later runs.
    func remember(_ text: String) {
        var characters = text.unicodeScalars.map {
            wchar_t($0 == "\n" ? TerminalKeys.lineMark.value : $0.value)
        }
        characters.append(0)
        unsafe tsr_edit_remember(library, characters)
        guard let historyPath else { return }
        let temporary = "\(historyPath).\(getpid())"
        let isWritten = unsafe tsr_edit_write_history(library, temporary)
        if unsafe !isWritten || rename(temporary, historyPath) != 0 { unsafe unlink(temporary) }
    }

    /// libedit asks for a character: 1 if there is one, 0 at the end, -1 to give the line up.
    private static func next(_ place: UnsafeMutablePointer<wchar_t>?) -> Int32 {
        guard let editor = unsafe current, let place = unsafe place else { return -1 }
        while editor.ready.isEmpty {
            if Interruption.isRequested { return -1 }
            guard Input.pollOnce(STDIN_FILENO) else {
                Wakeup.clear()
                if TerminalMode.takeChange() { unsafe tsr_edit_resume(editor.library) }
                continue
            }
            guard let bytes = try? Input.next(STDIN_FILENO, name: "terminal") else { return -1 }
            guard !bytes.isEmpty else { return 0 }
            editor.ready = editor.keys.append(bytes).reversed()
        }
        unsafe place.pointee = wchar_t(editor.ready.removeLast().value)
        return 1
    }
}
