import Foundation
import Testing

/// The program as a user runs it.
final class Program {
    struct Result {
        var status: Int32
        var output: String
        var errors: String
    }

    /// Where a test's own files lie; removed with the program.
    let folder = FileManager.default.temporaryDirectory
        .appending(path: "tessera-chat-\(UUID().uuidString)")
    let executable: URL
    let environment: [String: String]

    init() throws {
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        executable = URL(fileURLWithPath: tests)
            .deletingLastPathComponent().appendingPathComponent("tessera")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        environment = [
            "TESSERA_CACHE": folder.appending(path: "cache").path, "HOME": folder.path,
            "XDG_STATE_HOME": folder.appending(path: "state").path, "TERM": "xterm",
        ]
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    func path(_ name: String) -> String { folder.appending(path: name).path }

    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try Data(text.utf8).write(to: folder.appending(path: name))
        return path(name)
    }

    /// A run that has not ended: its streams, and the process.
    struct Running {
        let process = Process()
        let input = Pipe()
        let output = Pipe()
        let errors = Pipe()

        /// Ends the input and waits for the end.
        func finish() throws -> Result {
            try input.fileHandleForWriting.close()
            return result()
        }

        func result() -> Result {
            // Standard error is small here; standard output may be long.
            let out = output.fileHandleForReading.readDataToEndOfFile()
            let err = errors.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            let isSignal = process.terminationReason == .uncaughtSignal
            return Result(
                status: isSignal ? -process.terminationStatus : process.terminationStatus,
                output: String(decoding: out, as: UTF8.self),
                errors: String(decoding: err, as: UTF8.self))
        }
    }

    func start(_ arguments: [String]) throws -> Running {
        let running = Running()
        running.process.executableURL = executable
        running.process.arguments = arguments
        running.process.environment = environment
        running.process.standardInput = running.input
        running.process.standardOutput = running.output
        running.process.standardError = running.errors
        try running.process.run()
        return running
    }

    func run(_ arguments: [String], input: String = "") throws -> Result {
        let running = try start(arguments)
        try running.input.fileHandleForWriting.write(contentsOf: Data(input.utf8))
        return try running.finish()
    }

    /// The model that comes with the program.
    static let defaultModel = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources/tessera/Resources/default.tsr").standardizedFileURL.path
}

/// JSON objects, one on each line.
func objects(_ text: String) throws -> [[String: Any]] {
    try text.split(separator: "\n").map {
        try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
}
