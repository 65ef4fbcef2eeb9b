internal import ArgumentParser
internal import Glibc

/// Where a command's text comes from: exactly one of `-p`, `-f` and `-`.
struct PromptOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The text.")
    var prompt: String?

    @Option(name: .shortAndLong, help: "Read the text from this file.", completion: .file())
    var file: String?

    @Argument(help: "-: read the text from standard input.")
    var input: String?

    func validate() throws {
        if let input, input != "-" {
            throw ValidationError("unexpected argument '\(input)'; give the text with -p or -f")
        }
        guard [prompt, file, input].compactMap({ $0 }).count <= 1 else {
            throw ValidationError("give one of -p TEXT, -f FILE and -")
        }
    }

    /// Whether the user said where the text comes from.
    var isNamed: Bool { prompt != nil || file != nil || input != nil }

    /// The text.
    ///
    /// - Parameters:
    ///   - standardInput: A `-` was given where this command's first argument stands.
    ///   - dropsLineEnd: The end of the last line of a file or of standard input, which editors and
    ///     shells add, is not part of the text.
    func text(standardInput: Bool = false, dropsLineEnd: Bool = false) throws -> String {
        if let prompt { return prompt }
        var bytes = try bytes(standardInput)
        if dropsLineEnd, bytes.last == UInt8(ascii: "\n") {
            bytes.removeLast()
            if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        }
        return Input.text(bytes, name: file ?? "standard input")
    }

    private func bytes(_ standardInput: Bool) throws -> [UInt8] {
        if let file { return try Input.all(path: file) }
        // Without a source, a pipe is read; a terminal is never asked.
        guard standardInput || input == "-" || isatty(STDIN_FILENO) == 0 else {
            throw CommandError(.usage, "no text: give -p TEXT, -f FILE, or - for standard input")
        }
        return try Input.all(STDIN_FILENO, name: "standard input")
    }
}
