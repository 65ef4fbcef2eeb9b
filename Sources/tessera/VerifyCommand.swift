internal import ArgumentParser
internal import TesseraReporting
internal import TesseraWeightFile

struct VerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Reads a whole .tsr weight file and checks that it is undamaged.",
        discussion: """
            Checks every checksum, and that every number is finite. Exit status 0 when the file is \
            undamaged, 65 when it is damaged, 66 when it cannot be opened.

            Example:
              tessera verify model.tsr
            """)

    @Argument(help: "The .tsr file.", completion: .file(extensions: ["tsr"]))
    var file: String

    @Flag(help: "Print a JSON object.")
    var json = false

    func run() async throws {
        try await reportingErrors {
            let start = Clock.now
            do {
                let whole = try WeightFile(path: file)
                try verify(whole)
                report(whole, seconds: Clock.now - start)
            } catch let error as WeightFileError {
                if json, let violation = error.violation { report(violation, error) }
                throw error
            }
        }
    }

    private func verify(_ whole: WeightFile) throws(WeightFileError) {
        var progress = ProgressReport("verifying")
        defer { progress.finish() }
        try whole.verify { done, total in
            progress.update(done: done, total: total) { seconds in
                Format.bytes(Int(Double(done) / max(seconds, 1e-9))) + "/s"
            }
        }
    }

    private func report(_ whole: WeightFile, seconds: Double) {
        let tiles = whole.tensors.reduce(0) { $0 + $1.tileCount }
        guard json else {
            return Terminal.write(
                "\(file): whole; \(whole.tensors.count) tensors, \(tiles) checksums, "
                    + "\(Format.bytes(whole.fileBytes)) in \(Format.seconds(seconds))\n")
        }
        let object = JSONOutput.object([
            ("schema_version", 1), ("path", .string(file)), ("valid", true),
            ("file_bytes", .int(whole.fileBytes)), ("tensors", .int(whole.tensors.count)),
            ("tiles", .int(tiles)), ("seconds", .number(seconds)),
        ])
        Terminal.write(object.text + "\n")
    }

    private func report(_ violation: Violation, _ error: WeightFileError) {
        let object = JSONOutput.object([
            ("schema_version", 1), ("path", .string(file)), ("valid", false),
            ("rule", .string("\(violation.rule)")), ("rule_number", .int(violation.rule.rawValue)),
            ("offset", .int(violation.offset)),
            ("tensor", violation.tensor.map(JSONOutput.string) ?? .null),
            ("error", .string("\(error)")),
        ])
        Terminal.write(object.text + "\n")
    }
}
