internal import Glibc
internal import Reporting

/// What the program says beside its result: everything here goes to stderr.
enum Terminal {
    static let errorIsTTY = isatty(STDERR_FILENO) == 1
    static let outputIsTTY = isatty(STDOUT_FILENO) == 1

    /// Whether escape sequences may be written to a stream that is (or is not) a terminal.
    static func usesColor(isTTY: Bool) -> Bool {
        guard isTTY, environment("TERM") != "dumb" else { return false }
        return (environment("NO_COLOR") ?? "").isEmpty
    }

    static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }

    /// Writes a line to stderr.
    static func note(_ text: String) { write(text + "\n", to: STDERR_FILENO) }

    /// Writes all of `text`; a reader that went away ends the program quietly.
    static func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
        var bytes = ArraySlice(text.utf8)
        while !bytes.isEmpty {
            let written = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if written < 0 {
                if errno == EINTR { continue }
                // The reader went away, or the disk is full: nothing more can be said here.
                exit(errno == EPIPE ? 0 : ExitStatus.ioError.rawValue)
            }
            bytes = bytes.dropFirst(written)
        }
    }

    /// Columns of the terminal on stderr.
    static var width: Int { columns(of: STDERR_FILENO) ?? 80 }

    /// Columns of the terminal on stdout; nil where it is none, and lines may be of any length.
    static var outputWidth: Int? { outputIsTTY ? columns(of: STDOUT_FILENO) : nil }

    private static func columns(of descriptor: Int32) -> Int? {
        var size = winsize()
        guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return nil
        }
        return Int(size.ws_col)
    }
}

/// A progress bar on a terminal, or a line every few seconds elsewhere.
struct ProgressReport {
    private let title: String
    private let start = Clock.now
    private var last = Clock.now
    private let isTTY = Terminal.errorIsTTY

    init(_ title: String) { self.title = title }

    /// - Parameter rate: What to say of the speed, from the seconds gone.
    mutating func update(done: Int, total: Int, rate: (Double) -> String = { _ in "" }) {
        let now = Clock.now
        guard now - last >= (isTTY ? 0.1 : 5) || (isTTY && done == total) else { return }
        last = now
        let fraction = Double(done) / Double(max(1, total))
        let elapsed = now - start
        let left = fraction > 0 ? elapsed / fraction - elapsed : 0
        let status = " \(Int(fraction * 100))% \(rate(elapsed)) \(Format.seconds(left)) left"
        guard isTTY else { return Terminal.note("\(title):\(status)") }
        let room = max(0, min(40, Terminal.width - title.utf8.count - status.utf8.count - 4))
        let filled = Int(Double(room) * fraction)
        let bar =
            String(repeating: "#", count: filled) + String(repeating: ".", count: room - filled)
        Terminal.write("\r\u{1b}[K\(title) [\(bar)]\(status)", to: STDERR_FILENO)
        if done == total { finish() }
    }

    /// Removes the bar.
    func finish() {
        if isTTY { Terminal.write("\r\u{1b}[K", to: STDERR_FILENO) }
    }
}

/// Seconds of a clock that never jumps.
enum Clock {
    static var now: Double {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
