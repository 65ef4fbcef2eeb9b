/// The meaning of a line in a chat: a message, or a command that begins with a slash.
public enum ChatLine: Equatable, Sendable {
    case message(String)
    case help
    /// Without a text: shows the system message.
    case system(String?)
    case save(String)
    case load(String)
    case undo, retry, reset, exit
    /// Without a name: lists all settings.
    case set(name: String?, value: String)
    /// An unknown command, or one without its argument; says what is wrong.
    case wrong(String)

    public static let commands = """
        /help                  this list
        /system [TEXT]         the system message: show it, or change it from the next message on
        /set [NAME VALUE]      show or change temperature, top-k, top-p, min-p, repeat-penalty, seed,
                               max-tokens
        /undo                  take back the last message and its answer
        /retry                 answer the last message again, with other random numbers
        /reset                 forget the conversation; the system message stays
        /save FILE             write the conversation to a JSON file
        /load FILE             go on with a conversation from such a file
        /exit                  end (as Ctrl-D does)
        A line that ends in \\ goes on in the next one. To begin a message with /, write //.
        """

    /// - Parameter text: Without white space around it.
    public init(_ text: String) {
        guard text.hasPrefix("/") else {
            self = .message(text)
            return
        }
        guard !text.hasPrefix("//") else {
            self = .message(String(text.dropFirst()))
            return
        }
        let parts = text.split(maxSplits: 1, whereSeparator: \.isWhitespace)
        let name = parts.first.map { String($0) } ?? ""
        let rest = parts.count > 1 ? Self.trimmed(parts[1]) : ""
        self = Self.command(name, rest)
    }

    /// Without white space at both ends.
    public static func trimmed(_ text: some StringProtocol) -> String {
        let begin = text.drop { $0.isWhitespace }
        let end = begin.lastIndex { !$0.isWhitespace }
        return end.map { String(begin[...$0]) } ?? ""
    }

    private static func command(_ name: String, _ rest: String) -> ChatLine {
        switch (name, rest.isEmpty) {
        case ("/system", _): return .system(rest.isEmpty ? nil : rest)
        case ("/save", false): return .save(rest)
        case ("/load", false): return .load(rest)
        case ("/save", true), ("/load", true): return .wrong("\(name) needs the name of a file")
        case ("/set", true): return .set(name: nil, value: "")
        case ("/set", false):
            let parts = rest.split(maxSplits: 1) { $0.isWhitespace || $0 == "=" }
            guard parts.count == 2 else { return .wrong("/set needs a name and a value") }
            return .set(name: String(parts[0]), value: trimmed(parts[1]))
        case ("/help", true): return .help
        case ("/undo", true): return .undo
        case ("/retry", true): return .retry
        case ("/reset", true): return .reset
        case ("/exit", true), ("/quit", true): return .exit
        case ("/help", _), ("/undo", _), ("/retry", _), ("/reset", _), ("/exit", _), ("/quit", _):
            return .wrong("\(name) takes nothing after it")
        default:
            return .wrong(
                "there is no command '\(name)'; /help lists them, and // begins a message with /")
        }
    }
}
