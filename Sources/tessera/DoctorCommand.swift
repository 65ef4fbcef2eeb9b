internal import ArgumentParser
internal import TesseraProfiling
internal import TesseraReporting

struct DoctorCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Shows what this machine is, what it can do, and what slows it down.",
        discussion: """
            Measures memory and multiplication for a second or two.

            Examples:
              tessera doctor
              tessera doctor --disk model.tsr
              tessera doctor --json > machine.json
            """)

    @Option(
        help: "Also read this file past the page cache, for the speed of its disk.",
        completion: .file())
    var disk: String?

    @Flag(help: "Print a JSON object.")
    var json = false

    func run() async throws {
        try await reportingErrors {
            let report = try MachineReport.measure(diskFile: disk)
            Terminal.write(
                json ? report.json.text + "\n" : report.text(width: Terminal.outputWidth))
        }
    }
}
