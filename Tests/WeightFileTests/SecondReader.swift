import Foundation

/// Runs `Formats/read_tsr.py`, the second reader.
enum SecondReader {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    static let formats = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Formats")

    /// The files in a folder of `Formats`, by name.
    static func files(in folder: String, suffix: String) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(
            at: formats.appendingPathComponent(folder), includingPropertiesForKeys: nil
        )
        .filter { $0.lastPathComponent.hasSuffix(suffix) }
        .sorted { $0.lastPathComponent < $1.lastPathComponent }
    }

    /// One JSON object per file.
    static func read(_ files: [URL]) throws -> [NSDictionary] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments =
            ["python3", formats.appendingPathComponent("read_tsr.py").path] + files.map(\.path)
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaint = String(
            decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        guard process.terminationStatus == 0 || process.terminationStatus == 65 else {
            throw Failure(
                description: "read_tsr.py failed (status \(process.terminationStatus)): "
                    + "\(complaint)Python 3 with NumPy is needed: run Tools/install-dependencies")
        }
        let objects = try text.split(separator: UInt8(ascii: "\n")).map {
            try JSONSerialization.jsonObject(with: Data($0)) as? NSDictionary
        }.compactMap(\.self)
        guard objects.count == files.count else {
            throw Failure(description: "read_tsr.py answered \(objects.count) of \(files.count)")
        }
        return objects
    }
}
