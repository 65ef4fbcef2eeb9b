import Foundation

/// A made-up /proc and /sys below a folder of its own.
final class FakeTree {
    let root = FileManager.default.temporaryDirectory.appending(path: "tessera-tree-\(UUID())")

    /// - Parameter files: Texts by path.
    init(_ files: [String: String] = [:]) throws {
        for (path, text) in files { try put(text, path) }
    }

    func put(_ text: String, _ path: String) throws {
        let file = root.appending(path: path)
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
    }

    deinit { try? FileManager.default.removeItem(at: root) }
}
