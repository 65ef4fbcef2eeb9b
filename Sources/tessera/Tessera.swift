internal import ArgumentParser
internal import Kernels

@main
struct Tessera: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tessera",
        abstract: "Runs 8B language models on Linux machines that are too small for them.",
        version: "0.1.0, kernels for \(Compute.availableISAs.joined(separator: ", "))",
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
}
