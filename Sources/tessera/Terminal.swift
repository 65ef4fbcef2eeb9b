internal import Glibc
internal import TesseraReporting
internal import TesseraMachine

/// Notes and progress of the program, which go to stderr.
enum Terminal {
    static let errorIsTTY = isatty(STDERR_FILENO) == 1
    static let outputIsTTY = isatty(STDOUT_FILENO) == 1

    /// Whether a stream that is (or is not) a terminal understands escape sequences.
    static func usesEscapes(isTTY: Bool) -> Bool {
        isTTY && !["", "dumb"].contains(environment("TERM") ?? "")
    }

    /// Whether colors may be written to a stream that is (or is not) a terminal.
    static func usesColor(isTTY: Bool) -> Bool {
        usesEscapes(isTTY: isTTY) && (environment("NO_COLOR") ?? "").isEmpty
    }

    static func environment(_ name: String) -> String? {
        guard let value = unsafe getenv(name) else { return nil }
        return unsafe String(cString: value)
    }

    /// Writes a line to stderr.
    static func note(_ text: String) { write(text + "\n", to: STDERR_FILENO) }

    /// Writes all of `text`. Where standard output fails, the program ends, without a message when the reader
    /// went away. Where standard error fails, only its text is lost.
    static func write(_ text: String, to descriptor: Int32 = STDOUT_FILENO) {
        guard let code = failure(of: text, descriptor), descriptor == STDOUT_FILENO else { return }
        guard code != EPIPE else { ExitStatus.brokenPipe.end() }
        note("tessera: standard output: \(systemMessage(code))")
        ExitStatus.ioError.end()
    }

    /// Writes all of `text`; what went wrong, as `errno`.
    private static func failure(of text: String, _ descriptor: Int32) -> Int32? {
        var bytes = ArraySlice(text.utf8)
        while !bytes.isEmpty {
            let written = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if written > 0 {
                bytes = bytes.dropFirst(written)
            } else if errno == EAGAIN {
                // Another program has made the stream one that does not wait.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                unsafe _ = poll(&ready, 1, -1)
            } else if errno != EINTR {
                return errno
            }
        }
        return nil
    }

    /// Columns of the terminal on stderr.
    static var width: Int { columns(of: STDERR_FILENO) ?? 80 }

    /// Columns of the terminal on stdout; nil if it is none, and lines may be of any length.
    static var outputWidth: Int? { outputIsTTY ? columns(of: STDOUT_FILENO) : nil }

    private static func columns(of descriptor: Int32) -> Int? {
        var size = winsize()
        guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
            return nil
        }
        return Int(size.ws_col)
    }
}

/// A progress bar on a terminal that can redraw a line, or a line every few seconds elsewhere.
struct ProgressReport {
    private let title: String
    private let start = Clock.now
    private var last = Clock.now
    private let isTTY = Terminal.usesEscapes(isTTY: Terminal.errorIsTTY)

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
        Terminal.write("\r\u{1b}[K" + line(status, fraction), to: STDERR_FILENO)
        if done == total { finish() }
    }

    /// The bar's line, one column shorter than the terminal: a longer one could not be redrawn.
    private func line(_ status: String, _ fraction: Double) -> String {
        let width = Terminal.width - 1
        let room = min(40, width - title.utf8.count - status.utf8.count - 3)
        guard room > 0 else { return String((title + status).prefix(width)) }
        let filled = Int(Double(room) * fraction)
        let rest = String(repeating: ".", count: room - filled)
        return "\(title) [\(String(repeating: "#", count: filled))\(rest)]\(status)"
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
