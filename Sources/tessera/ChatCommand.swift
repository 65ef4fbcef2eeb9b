internal import ArgumentParser
internal import Decoding
internal import Glibc
internal import Tokenization
internal import Transformer
internal import WeightFile

struct ChatCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chat",
        abstract: "Talks with a model.",
        usage: "tessera chat [MODEL] [--system TEXT] [options]",
        discussion: """
            Each line of standard input is a message; /reset forgets the conversation, /exit ends
            it. Ctrl-C ends an answer, or the program where no answer is running.

            Examples:
              tessera chat model.tsr
              tessera chat model.tsr --system "Answer in one sentence." --temp 0.7
              printf 'My name is Ada.\\nWhat is my name?\\n' | tessera chat model.tsr
            """)

    @Argument(help: "A .tsr file.")
    var model: String?

    @Option(help: "The system message.")
    var system: String?

    @Option(name: [.customShort("n"), .long], help: "Most tokens of an answer.")
    var maxTokens = 1024

    @OptionGroup(title: "Drawing") var draw: DrawOptions
    @OptionGroup(title: "Blocks") var blocks: BlockOptions
    @OptionGroup(title: "Model") var modelOptions: ModelOptions

    @Flag(help: "Say on standard error how long each answer took.")
    var timings = false

    func validate() throws {
        guard maxTokens > 0 else { throw ValidationError("-n takes 1 or more") }
    }

    func run() async throws {
        try await reportingErrors {
            Interruption.install()
            let session = try Session(
                path: try model ?? DefaultModel.path(), model: modelOptions, draw: draw,
                blocks: blocks)
            defer { session.learned?.save() }
            var conversation = try Conversation(session, system: system)
            var lines = LineReader()
            let asks = isatty(STDIN_FILENO) == 1
            while true {
                if asks { Terminal.write("> ", to: STDERR_FILENO) }
                guard let line = try lines.next() else { break }
                switch line {
                case "": continue
                case "/exit", "/quit": return
                case "/reset": conversation.reset()
                case "/help": Terminal.note("/reset forgets the conversation, /exit ends it")
                default: try answer(line, &conversation, session)
                }
            }
            if asks { Terminal.write("\n", to: STDERR_FILENO) }
        }
    }

    private func answer(
        _ text: String, _ conversation: inout Conversation, _ session: Session
    ) throws {
        let prompt = try conversation.ask(text)
        var collected = ""
        let generation = session.generation(limit: maxTokens, stop: []) { _, piece in
            collected += piece
            Terminal.write(piece)
        }
        let summary = try generation.run(prompt)
        Terminal.write("\n")
        conversation.answer(collected, summary.tokens)
        if timings { Terminal.note(summary.report(session)) }
        guard summary.stopReason == .cancelled else { return }
        // At a terminal, Ctrl-C has ended the answer; elsewhere nobody is there to go on.
        guard isatty(STDIN_FILENO) == 1, Interruption.status == .interrupted else {
            throw ExitCode(Interruption.status.rawValue)
        }
        Interruption.clear()
    }
}

/// Lines of standard input.
struct LineReader {
    private var buffer: [UInt8] = []
    private var isAtEnd = false

    /// The next line without its end; nil behind the last.
    mutating func next() throws -> String? {
        while true {
            if let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                defer { buffer.removeFirst(end + 1) }
                return Self.text(buffer[..<end])
            }
            if isAtEnd {
                defer { buffer = [] }
                return buffer.isEmpty ? nil : Self.text(buffer[...])
            }
            // Unlike read, poll comes back when a signal has been handled.
            var ready = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            let count = unsafe poll(&ready, 1, -1)
            if Interruption.isRequested { throw ExitCode(Interruption.status.rawValue) }
            if count > 0 { try fill() }
        }
    }

    private mutating func fill() throws {
        var chunk = [UInt8](repeating: 0, count: 4096)
        let count = unsafe chunk.withUnsafeMutableBytes {
            unsafe read(STDIN_FILENO, $0.baseAddress, $0.count)
        }
        if count < 0 && errno == EINTR { return }
        guard count >= 0 else { throw CommandError(.ioError, "standard input: cannot read") }
        isAtEnd = count == 0
        buffer.append(contentsOf: chunk[..<max(0, count)])
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes, as: UTF8.self)
    }
}
