import Foundation

/// The program that was built next to the tests, run as a user runs it.
public enum Program {
    /// How a run ended.
    public struct Outcome: Sendable {
        /// The exit status; 128 and the signal's number where a signal ended the run.
        public var status: Int32
        public var output: String
        public var errors: String

        /// The output of the run, line by line, as JSON objects.
        public func objects() throws -> [[String: Any]] {
            try output.split(separator: "\n").map {
                let value = try JSONSerialization.jsonObject(with: Data($0.utf8))
                guard let object = value as? [String: Any] else {
                    throw CocoaError(.coderReadCorrupt)
                }
                return object
            }
        }
    }

    public static let path: String = {
        let tests = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(fileURLWithPath: tests ?? "").deletingLastPathComponent()
            .appendingPathComponent("tessera").path
    }()

    /// Runs the program to its end.
    ///
    /// - Parameters:
    ///   - input: The text of standard input; empty by default.
    ///   - environment: Variables in addition to those that every program needs.
    public static func run(
        _ arguments: [String], input: String? = nil, environment: [String: String] = [:]
    ) throws -> Outcome {
        let run = try RunningProgram(path, arguments, environment)
        try run.send(input ?? "")
        run.endInput()
        return try run.outcome()
    }

    /// Runs a shell script in which `$T` is the program: for redirections that `run` has not.
    public static func shell(
        _ script: String, environment: [String: String] = [:]
    ) throws -> Outcome {
        let run = try RunningProgram("/bin/bash", ["-c", script], environment)
        run.endInput()
        return try run.outcome()
    }

    /// Starts the program; its standard input stays open.
    public static func start(
        _ arguments: [String], environment: [String: String] = [:]
    ) throws -> RunningProgram {
        try RunningProgram(path, arguments, environment)
    }
}

/// A run that has not ended. It is killed after ten minutes, so that a hang fails a test.
public final class RunningProgram {
    private let process = Process()
    private let folder: TemporaryFolder
    private let input = Pipe()

    fileprivate init(
        _ path: String, _ arguments: [String], _ environment: [String: String]
    ) throws {
        folder = try TemporaryFolder()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        let least = [
            "PATH": "/usr/bin:/bin", "T": Program.path, "TESSERA_CACHE": folder.file("cache"),
        ]
        process.environment = least.merging(environment) { $1 }
        process.standardInput = input
        process.standardOutput = try FileHandle(
            forWritingTo: URL(fileURLWithPath: folder.write("", to: "output")))
        process.standardError = try FileHandle(
            forWritingTo: URL(fileURLWithPath: folder.write("", to: "errors")))
        try process.run()
        let number = process.processIdentifier
        watchdog = DispatchWorkItem { kill(number, SIGKILL) }
        DispatchQueue.global().asyncAfter(deadline: .now() + 600, execute: watchdog)
    }

    private var watchdog = DispatchWorkItem {}

    /// Writes to the run's standard input; a run that has ended is no error.
    public func send(_ text: String) throws {
        signal(SIGPIPE, SIG_IGN)
        try? input.fileHandleForWriting.write(contentsOf: Data(text.utf8))
    }

    public func endInput() { try? input.fileHandleForWriting.close() }

    public func send(signal number: Int32) { kill(process.processIdentifier, number) }

    /// Standard error of the run so far.
    public var errors: String { text("errors") }

    /// Standard output of the run so far.
    public var output: String { text("output") }

    /// Waits until `condition` holds or the run ends.
    ///
    /// - Returns: Whether it holds.
    public func wait(until condition: () -> Bool) -> Bool {
        while process.isRunning {
            if condition() { return true }
            usleep(2000)
        }
        return condition()
    }

    /// Whether every thread of the run sleeps, as it does while it waits for input.
    public var isWaiting: Bool {
        let tasks = "/proc/\(process.processIdentifier)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        return !threads.isEmpty
            && threads.allSatisfy { thread in
                let status = try? String(contentsOfFile: "\(tasks)/\(thread)/stat", encoding: .utf8)
                return status?.split(separator: ")").last?.hasPrefix(" S") ?? false
            }
    }

    /// Waits for the end.
    public func outcome() throws -> Program.Outcome {
        process.waitUntilExit()
        watchdog.cancel()
        let wasKilled = process.terminationReason == .uncaughtSignal
        return Program.Outcome(
            status: (wasKilled ? 128 : 0) + process.terminationStatus,
            output: text("output"), errors: text("errors"))
    }

    private func text(_ name: String) -> String {
        String(
            decoding: (try? Data(contentsOf: folder.url.appending(path: name))) ?? Data(),
            as: UTF8.self)
    }
}
