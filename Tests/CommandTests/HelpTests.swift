import Foundation
import TesseraTestSupport
import Testing

/// Help texts, as the program describes them to other programs.
@Suite struct HelpTests {
    private struct Help: Decodable { let command: Command }
    private struct Command: Decodable {
        let commandName: String
        let discussion: String?
        let subcommands: [Command]?
    }

    /// A paragraph is one line, which the terminal's width breaks; only examples and lists have lines of
    /// their own, which are indented.
    @Test func paragraphsAreOneLine() throws {
        let run = try Program.run(["--experimental-dump-help"])
        let root = try JSONDecoder().decode(Help.self, from: Data(run.output.utf8)).command
        let commands = [root] + (root.subcommands ?? [])
        #expect(commands.count > 10)
        for command in commands {
            let lines = (command.discussion ?? "").components(separatedBy: "\n")
            for (line, next) in zip(lines, lines.dropFirst())
            where !line.isEmpty && !next.isEmpty {
                #expect(next.hasPrefix("  "), "\(command.commandName): \(line) / \(next)")
            }
        }
    }
}
