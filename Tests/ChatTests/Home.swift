import Foundation
import TesseraTestSupport
import Testing

/// The program run with a home of its own, which goes away with its last owner.
final class Home {
    private let folder: TemporaryFolder
    let environment: [String: String]

    init() throws {
        folder = try TemporaryFolder()
        environment = [
            "TESSERA_CACHE": folder.file("cache"), "HOME": folder.file(""),
            "XDG_STATE_HOME": folder.file("state"), "TERM": "xterm",
        ]
    }

    func path(_ name: String) -> String { folder.file(name) }

    @discardableResult
    func write(_ text: String, to name: String) throws -> String {
        try folder.write(text, to: name)
    }

    func run(_ arguments: [String], input: String = "") throws -> Program.Outcome {
        try Program.run(arguments, input: input, environment: environment)
    }

    /// The contents of a saved conversation's messages.
    func messages(_ name: String) throws -> [String] {
        let data = try Data(contentsOf: URL(filePath: path(name)))
        let value = try JSONSerialization.jsonObject(with: data) as? [String: Any]
        let messages = value?["messages"] as? [[String: Any]] ?? []
        return messages.map { $0["content"] as? String ?? "" }
    }
}
