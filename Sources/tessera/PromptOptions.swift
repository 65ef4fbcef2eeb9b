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
        let lines = try read(pathOrInput: path).split(separator: UInt8(ascii: "\n"))
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
        if let file { return String(decoding: try Self.read(path: file), as: UTF8.self) }
        // Without a source, a pipe is read; a terminal is never asked.
        guard standardInput || input == "-" || isatty(STDIN_FILENO) == 0 else {
            throw CommandError(.usage, "no text: give -p TEXT, -f FILE, or - for standard input")
        }
        let bytes = try Self.read(descriptor: STDIN_FILENO, name: "standard input")
        return String(decoding: bytes, as: UTF8.self)
    }

    static func read(path: String) throws -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = unsafe String(cString: strerror(errno))
            throw CommandError(.noInput, "\(path): \(reason)")
        }
        defer { close(descriptor) }
        return try read(descriptor: descriptor, name: path)
    }

    /// The bytes of a file, or of standard input for `-`.
    static func read(pathOrInput: String) throws -> [UInt8] {
        guard pathOrInput == "-" else { return try read(path: pathOrInput) }
        return try read(descriptor: STDIN_FILENO, name: "standard input")
    }

    private static func read(descriptor: Int32, name: String) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while true {
            let count = unsafe chunk.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno == EINTR && !Interruption.isRequested { continue }
            guard count >= 0 else {
                let reason = unsafe String(cString: strerror(errno))
                throw CommandError(.ioError, "\(name): \(reason)")
            }
            if count == 0 { return bytes }
            bytes.append(contentsOf: chunk[..<count])
        }
    }
}
