internal import ArgumentParser
internal import Glibc
internal import Reporting

/// Where a command's text comes from: exactly one of `-p`, `-f` and `-`.
struct PromptOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The text.")
    var prompt: String?

    @Option(name: .shortAndLong, help: "Read the text from this file.")
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

    /// The texts of a file of JSON lines: strings, or objects with a `prompt`.
    static func batch(path: String) throws -> [String] {
        let lines = try Input.all(pathOrInput: path).split(separator: UInt8(ascii: "\n"))
        return try lines.enumerated().map { index, line in
            let value = try? JSONParser.parse(Array(line))
            guard let text = value?.string ?? value?["prompt"]?.string else {
                throw CommandError(
                    .badData,
                    "\(path): line \(index + 1) is neither a JSON string nor an object with a prompt"
                )
            }
            return text
        }
    }

    /// The text; invalid UTF-8 becomes U+FFFD.
    ///
    /// - Parameter standardInput: A `-` was given where this command's first argument stands.
    func text(standardInput: Bool = false) throws -> String {
        if let prompt { return prompt }
        if let file { return String(decoding: try Input.all(path: file), as: UTF8.self) }
        // Without a source, a pipe is read; a terminal is never asked.
        guard standardInput || input == "-" || isatty(STDIN_FILENO) == 0 else {
            throw CommandError(.usage, "no text: give -p TEXT, -f FILE, or - for standard input")
        }
        let bytes = try Input.all(STDIN_FILENO, name: "standard input")
        return String(decoding: bytes, as: UTF8.self)
    }
}
