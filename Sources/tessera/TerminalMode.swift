internal import Glibc

/// How the terminal on standard input is set, and its way back when the program ends.
enum TerminalMode {
    nonisolated(unsafe) private static var original = termios()
    nonisolated(unsafe) private static var quiet = termios()
    nonisolated(unsafe) private static var isKnown = false
    nonisolated(unsafe) private static var isQuiet = false
    nonisolated(unsafe) private static var marksPastes = false
    nonisolated(unsafe) private static var hasChanged = false

    /// Remembers the settings, and that they are to be put back however the program ends.
    static func install() {
        guard isatty(STDIN_FILENO) == 1, unsafe tcgetattr(STDIN_FILENO, &original) == 0 else {
            return
        }
        unsafe quiet = unsafe original
        // Lines are not waited for either: the longest that a terminal takes has 4095 bytes.
        unsafe quiet.c_lflag &= ~tcflag_t(ECHO | ICANON)
        unsafe isKnown = true
        atexit { TerminalMode.restore() }
        for number in [SIGWINCH, SIGCONT] {
            signal(number) { number in
                if unsafe number == SIGCONT && TerminalMode.isQuiet { TerminalMode.setQuiet(true) }
                unsafe TerminalMode.hasChanged = true
                Wakeup.signal()
            }
        }
    }

    /// Whether the terminal's size has changed or the program was stopped since the last call.
    static func takeChange() -> Bool {
        defer { unsafe hasChanged = false }
        return unsafe hasChanged
    }

    /// What is typed meanwhile is kept for the next line and not shown.
    static func quietly<T>(_ body: () throws -> T) rethrows -> T {
        setQuiet(true)
        defer { setQuiet(false) }
        return try body()
    }

    private static func setQuiet(_ isOn: Bool) {
        guard unsafe isKnown else { return }
        unsafe isQuiet = isOn
        var mode = unsafe isOn ? quiet : original
        unsafe _ = tcsetattr(STDIN_FILENO, TCSANOW, &mode)
    }

    /// The terminal puts marks around what is pasted.
    static func beginPasteMarks() {
        unsafe marksPastes = true
        Terminal.write("\u{1b}[?2004h", to: STDERR_FILENO)
    }

    static func endPasteMarks() {
        guard unsafe marksPastes else { return }
        unsafe marksPastes = false
        let text: StaticString = "\u{1b}[?2004l"
        unsafe _ = write(STDERR_FILENO, text.utf8Start, text.utf8CodeUnitCount)
    }

    /// Puts the settings back. For signal handlers too.
    static func restore() {
        guard unsafe isKnown else { return }
        endPasteMarks()
        unsafe _ = tcsetattr(STDIN_FILENO, TCSANOW, &original)
    }
}
