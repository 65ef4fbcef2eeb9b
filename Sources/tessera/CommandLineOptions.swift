internal import ArgumentParser
internal import Glibc
internal import TesseraReporting

/// The options of the command that an argument list names, for two things that the parser does not do: values
/// that begin with a dash, and errors that name the unknown option.
struct CommandLineOptions {
    /// `tessera` or `tessera NAME`.
    let command: String
    /// Whether each takes a value, by its name with dashes.
    private let takesValue: [String: Bool]

    init(for arguments: ArraySlice<String>) {
        let dump = try? JSONParser.parse(Array(TesseraCommand._dumpHelp().utf8))
        let commands = dump?["command"]?["subcommands"]?.array ?? []
        let found = arguments.first.flatMap { name in
            commands.first { $0["commandName"]?.string == name }
        }
        command = "tessera" + (found?["commandName"]?.string.map { " \($0)" } ?? "")
        var names = ["-h": false, "--help": false, "--help-hidden": false, "--version": false]
        for argument in (found ?? dump?["command"])?["arguments"]?.array ?? [] {
            for name in argument["names"]?.array ?? [] {
                let dashes = name["kind"]?.string == "short" ? "-" : "--"
                names[dashes + (name["name"]?.string ?? "")] = argument["kind"]?.string == "option"
            }
        }
        takesValue = names
    }

    /// Names the first argument that is not text in UTF-8. Read as text, its bytes would be replaced without an error.
    static func unreadableArgument() -> String? {
        for index in 1..<max(1, Int(CommandLine.argc)) {
            guard let argument = unsafe CommandLine.unsafeArgv[index] else { break }
            guard unsafe String(validatingCString: argument) == nil else { continue }
            let bytes = unsafe (0..<min(60, strlen(argument))).map {
                unsafe UInt8(bitPattern: argument[Int($0)])
            }
            let shown = bytes.map { byte in
                (0x20..<0x7F).contains(byte)
                    ? String(Unicode.Scalar(byte))
                    : "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }.joined()
            return "argument \(index), '\(shown)', is not valid UTF-8; "
                + "write it in UTF-8, or rename the file that it names"
        }
        return nil
    }

    /// The arguments with `--temp -1` and `-p "- a list"` as `--temp=-1` and `-p=- a list`, which the
    /// parser reads as meant. Names of options neither begin with a digit nor hold spaces.
    static func joiningValues(of arguments: ArraySlice<String>) -> [String] {
        // The options are not listed where nothing is to be joined: that takes some milliseconds.
        guard arguments.contains(where: isDashedValue) else { return Array(arguments) }
        return CommandLineOptions(for: arguments).joiningValues(of: arguments)
    }

    private func joiningValues(of arguments: ArraySlice<String>) -> [String] {
        var joined: [String] = []
        for argument in arguments {
            if let option = joined.last, takesValue[option] == true, Self.isDashedValue(argument) {
                joined[joined.count - 1] = "\(option)=\(argument)"
            } else {
                joined.append(argument)
            }
        }
        return joined
    }

    private static func isDashedValue(_ argument: String) -> Bool {
        guard argument.hasPrefix("-"), let next = argument.dropFirst().first else { return false }
        return next.isNumber || next == "." || argument.contains(where: \.isWhitespace)
    }

    /// Names the argument that is not an option of the command, and the option that may have been meant.
    func unknown(in arguments: ArraySlice<String>) -> String? {
        var isValue = false
        for argument in joiningValues(of: arguments) {
            if argument == "--" { return nil }
            let name = String(argument.prefix { $0 != "=" })
            guard !isValue || argument.hasPrefix("-"), name.hasPrefix("-"), name != "-" else {
                isValue = false
                continue
            }
            guard let takes = takesValue[name] else {
                guard !isPack(name) else { continue }
                return "unknown option '\(name)'" + (hint(for: name).map { "; \($0)" } ?? "")
            }
            isValue = takes && !argument.contains("=")
        }
        return nil
    }

    /// Whether this is several flags of one letter.
    private func isPack(_ name: String) -> Bool {
        !name.hasPrefix("--") && name.dropFirst().allSatisfy { takesValue["-\($0)"] == false }
    }

    // MARK: Hints

    /// Names that other programs give to options of this one.
    private static let synonyms = [
        "-c": "--ctx", "--ctx-size": "--ctx", "--num-ctx": "--ctx", "--context": "--ctx",
        "--n-predict": "--max-tokens", "--predict": "--max-tokens",
        "--num-predict": "--max-tokens", "--max-new-tokens": "--max-tokens",
        "-sys": "--system", "--system-prompt": "--system", "-r": "--stop",
        "--reverse-prompt": "--stop", "--ctk": "--kv", "-ctk": "--kv", "-ctv": "--kv",
        "--cache-type-k": "--kv", "--cache-type-v": "--kv", "--n-threads": "--threads",
        "--outfile": "--output", "--outtype": "--bits", "--quantize": "--bits",
        "--imatrix": "--calibrate", "--ignore-eos": "--ignore-end",
    ]

    private func hint(for name: String) -> String? {
        if ["-m", "--model"].contains(name) {
            return "the model's path is given without an option"
        }
        if ["-ngl", "--gpu-layers", "--n-gpu-layers"].contains(name) {
            return "everything runs on the processor"
        }
        if ["-i", "-cnv", "--interactive", "--conversation"].contains(name) {
            return "'tessera chat' is a conversation"
        }
        let plain = String(name.map { $0 == "_" ? "-" : $0 })
        if let meant = Self.synonyms[plain], takesValue[meant] != nil {
            return "did you mean '\(meant)'?"
        }
        let nearest = takesValue.keys.filter { $0.hasPrefix("--") }.sorted()
            .map { ($0, Self.distance($0, plain)) }.min { $0.1 < $1.1 }
        guard let nearest, nearest.1 <= max(1, plain.count / 4) else { return nil }
        return "did you mean '\(nearest.0)'?"
    }

    /// Letters to change, add or leave out to make one text of the other.
    private static func distance(_ a: String, _ b: String) -> Int {
        let b = Array(b)
        var row = Array(0...b.count)
        for (i, letter) in a.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, other) in b.enumerated() {
                let change = diagonal + (letter == other ? 0 : 1)
                diagonal = row[j + 1]
                row[j + 1] = min(change, row[j] + 1, diagonal + 1)
            }
        }
        return row[b.count]
    }
}
