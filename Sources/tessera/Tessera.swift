internal import ArgumentParser
internal import TesseraCBuild
internal import Glibc
internal import TesseraKernels

@main
struct TesseraCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tessera",
        abstract: "Runs 8B language models on Linux machines that are too small for them.",
        version: version,
        subcommands: [
            GenerateCommand.self,
            ChatCommand.self,
            PerplexityCommand.self,
            ProfileCommand.self,
            DoctorCommand.self,
            QuantizeCommand.self,
            TokenizeCommand.self,
            InspectCommand.self,
            EstimateCommand.self,
            VerifyCommand.self,
        ])

    /// Number and commit of the program.
    static var release: String {
        let commit = unsafe String(cString: tessera_commit())
        return "0.1.0" + (commit.isEmpty ? "" : " (commit \(commit))")
    }

    /// The same and the instruction sets that it can use here.
    private static var version: String {
        "\(release), kernels for \(Compute.availableISAs.joined(separator: ", "))"
    }

    static func main() async {
        StandardStreams.prepare()
        if let problem = CommandLineOptions.unreadableArgument() {
            Terminal.note("tessera: \(problem)")
            Glibc.exit(ExitStatus.usage.rawValue)
        }
        let arguments = CommandLine.arguments.dropFirst()
        do {
            let joined = CommandLineOptions.joiningValues(of: arguments)
            var command = try await asyncParseAsRoot(joined)
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            end(with: error, CommandLineOptions(for: arguments), arguments)
        }
    }

    /// Prints what was asked for, such as help, or one line that says what is wrong with the arguments.
    private static func end(
        with error: any Error, _ options: CommandLineOptions, _ arguments: ArraySlice<String>
    ) -> Never {
        let code = exitCode(for: error)
        if code == .success {
            Terminal.write(fullMessage(for: error) + "\n")
        } else if !(error is ExitCode) {
            let problem = options.unknown(in: arguments) ?? message(for: error)
            let end = problem.hasSuffix("?") ? " See" : "; see"
            Terminal.note("tessera: \(problem)\(end) '\(options.command) --help'")
        }
        Glibc.exit(code.rawValue)
    }
}
