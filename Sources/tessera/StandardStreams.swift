internal import Glibc

/// Standard input, output and error as the program finds them.
enum StandardStreams {
    /// Makes a lost stream an error of the call that uses it, not a signal.
    ///
    /// A closed stream gets a file that cannot be read or written in its way, so that no other file
    /// gets its number: notes would be written into a model.
    static func prepare() {
        for (number, mode) in [
            (STDIN_FILENO, O_WRONLY), (STDOUT_FILENO, O_RDONLY), (STDERR_FILENO, O_WRONLY),
        ] where fcntl(number, F_GETFD) < 0 {
            unsafe _ = open("/dev/null", mode)
        }
        signal(SIGPIPE, SIG_IGN)
        // A file beyond the limit of `ulimit -f`.
        signal(SIGXFSZ, SIG_IGN)
        reportLostMappings()
    }

    /// Only memory of mapped files can be lost: a file was cut short, or its disk failed.
    private static func reportLostMappings() {
        signal(SIGBUS) { _ in
            let message: StaticString =
                "tessera: a mapped weight file cannot be read any more; was the file changed, or its disk lost? Try 'tessera verify'\n"
            unsafe _ = write(STDERR_FILENO, message.utf8Start, message.utf8CodeUnitCount)
            _exit(ExitStatus.ioError.rawValue)
        }
    }
}
