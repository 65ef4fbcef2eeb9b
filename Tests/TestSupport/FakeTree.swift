import Foundation

/// A made-up /proc and /sys below a folder of its own, which goes away with its last owner.
public final class FakeTree: Sendable {
    private let folder: TemporaryFolder

    /// The folder to put in front of every path.
    public var root: URL { folder.url }

    /// - Parameter files: Texts by path.
    public init(_ files: [String: String] = [:]) throws {
        folder = try TemporaryFolder()
        for (path, text) in files { try put(text, path) }
    }

    public func put(_ text: String, _ path: String) throws {
        let file = root.appending(path: path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }
}
