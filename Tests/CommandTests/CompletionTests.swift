import Foundation
import TesseraTestSupport
import Testing

/// Completion in bash, with the script that the program makes.
@Suite struct CompletionTests {
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let script = try Program.run(["--generate-completion-script", "bash"])
        #expect(script.status == 0)
        try folder.write(script.output, to: "complete.bash")
        for name in ["small.tsr", "small.txt", "small.gguf"] { try folder.write("", to: name) }
    }

    /// What bash offers for the last of some words.
    private func offered(_ words: String...) throws -> [String] {
        let list = (["tessera"] + words).map { "'\($0)'" }.joined(separator: " ")
        let run = try Program.shell(
            """
            cd \(folder.url.path)
            PATH="$(dirname "$T"):$PATH"
            compopt() { :; }
            . ./complete.bash
            COMP_WORDS=(\(list))
            COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
            COMP_LINE="${COMP_WORDS[*]}"
            COMP_POINT=${#COMP_LINE}
            $(complete -p tessera | sed 's/.*-F \\([^ ]*\\) .*/\\1/') tessera "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\\n' "${COMPREPLY[@]}"
            """)
        return run.output.split(separator: "\n").map(String.init)
    }

    @Test func modelsComplete() throws {
        for command in ["inspect", "verify", "estimate", "generate", "chat", "profile"] {
            #expect(try offered(command, "sma") == ["small.tsr"], "\(command)")
        }
    }

    @Test func filesComplete() throws {
        let all = ["small.gguf", "small.tsr", "small.txt"]
        #expect(try offered("quantize", "sma").sorted() == all)
        #expect(try offered("tokenize", "sma").sorted() == all)
        #expect(try offered("generate", "--file", "sma").sorted() == all)
        #expect(try offered("perplexity", "small.tsr", "sma").sorted() == all)
        #expect(try offered("quantize", "small.gguf", "--calibrate", "sma").sorted() == all)
    }
}
