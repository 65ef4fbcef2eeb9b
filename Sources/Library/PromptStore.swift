internal import Glibc
internal import TesseraMachine
package import TesseraTransformer
internal import TesseraWeightFile

/// Texts with their caches in a folder, so that later processes need not compute the same beginnings again.
///
/// Each is a file as Formats/SESSION.md says. A prompt takes up the text that begins most like it, whatever
/// conversation that came from. A file that cannot be read or written is noted, and never an error of an answer.
package final class PromptStore {
    private let folder: String
    /// Bytes of all files at most.
    private let limit: Int
    private let shape: SavedText.Shape
    private let note: @Sendable (String) -> Void
    private var entries: [Entry] = []
    private var lastNote = ""

    private struct Entry {
        var path: String
        /// Tokens that the cache holds.
        var tokens: [Int32]
    }

    /// The end of the names of these files.
    private static let suffix = ".prompt"
    /// The fewest new tokens that are worth a file.
    private static let least = 32

    /// Looks at the files of a model.
    ///
    /// - Parameters:
    ///   - sequence: A sequence of the model, with the kind of cache that all texts have.
    ///   - note: Called with one line about each problem.
    package init(
        _ folder: String, limit: Int, for sequence: TokenSequence,
        note: @escaping @Sendable (String) -> Void
    ) {
        (self.folder, self.limit, self.note) = (folder, limit, note)
        shape = sequence.shape
        CacheFile.makeFolder(of: folder + "/x", depth: 3, mode: 0o700)
        removeRemains()
        makeRoom(0)
        for name in Self.names(folder, suffix: Self.suffix) where name.hasPrefix(prefix) {
            read(folder + "/" + name)
        }
    }

    /// The beginning of the names of this model's files.
    private var prefix: String { Self.hexadecimal(shape.model) + "-" }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Removes files of processes that ended while they were writing.
    private func removeRemains() {
        for name in Self.names(folder, suffix: ".partial") {
            let parts = name.split(separator: ".")
            guard parts.count == 4, parts[1] == Self.suffix.dropFirst(),
                let writer = Int32(parts[2]),
                writer > 0, kill(writer, 0) != 0, errno == ESRCH
            else { continue }
            unsafe unlink("\(folder)/\(name)")
        }
    }

    /// Names of files of all models.
    private static func names(_ folder: String, suffix: String) -> [String] {
        guard let stream = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let entry = unsafe readdir(stream) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) {
                unsafe String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(suffix) { names.append(name) }
        }
        return names.sorted()
    }

    private func read(_ path: String) {
        do throws(SavedTextError) {
            let content = try SavedText(path: path, checksCache: false).content
            guard content.shape == shape else { return }  // another kind of cache
            entries.append(
                Entry(path: path, tokens: Array(content.tokens.prefix(content.committed))))
        } catch {
            discard(path, error)
        }
    }

    /// Removes a file that is of no use.
    private func discard(_ path: String, _ error: SavedTextError) {
        entries.removeAll { $0.path == path }
        switch error {
        case .damaged, .notSaved, .version:
            tell("\(error); the file is removed")
            unsafe unlink(path)
        case .file, .unlike: tell("\(error)")
        }
    }

    /// Notes a problem, unless it is the one that was noted last.
    private func tell(_ text: String) {
        guard text != lastNote else { return }
        lastNote = text
        note("prompt cache: \(text)")
    }

    /// The text that holds most of the first `ids`, and how many.
    private func best(_ ids: ArraySlice<Int32>) -> (index: Int, count: Int)? {
        let counts = entries.map { entry in zip(entry.tokens, ids).prefix { $0 == $1 }.count }
        guard let index = counts.indices.max(by: { counts[$0] < counts[$1] }) else { return nil }
        return (index, counts[index])
    }

    /// Loads the saved beginning of a prompt into a sequence.
    ///
    /// - Parameters:
    ///   - ids: The prompt without its last token.
    ///   - held: Tokens of it that the sequence holds already; a file is loaded only if it holds more.
    /// - Returns: How many of `ids` the sequence holds now; nil if it has not been changed.
    package func restore(
        _ ids: ArraySlice<Int32>, held: Int, to sequence: TokenSequence
    ) -> Int? {
        // All of a text is read, so that few tokens of a long one are computed sooner.
        guard let (index, count) = best(ids), count - held >= max(4, count / 64) else { return nil }
        let path = entries[index].path
        do throws(SavedTextError) {
            let saved = try SavedText(path: path)
            guard saved.content.tokens.starts(with: entries[index].tokens) else {
                // Another process has written it anew.
                entries.remove(at: index)
                return nil
            }
            guard sequence.canRestore(saved.content, upTo: count) else { return nil }
            try sequence.restore(saved, upTo: count, path: path)
        } catch {
            discard(path, error)
            return nil
        }
        unsafe utimensat(AT_FDCWD, path, nil, 0)  // used now: others go first
        return count
    }

    /// Writes a text, if it holds enough tokens that no other text holds. Texts that it begins with are removed.
    ///
    /// - Parameter tokens: Tokens of the text; the sequence has committed the first of them.
    package func save(_ tokens: [Int32], _ sequence: TokenSequence) {
        let held = Array(tokens.prefix(sequence.position))
        guard held.count >= max(Self.least, (best(held[...])?.count ?? 0) + Self.least) else {
            return
        }
        guard sequence.savedBytes <= limit else { return }
        let hash = unsafe XXH64.hash(held.span.bytes, seed: UInt64(shape.encoding))
        let path = "\(folder)/\(prefix)\(Self.hexadecimal(hash))\(Self.suffix)"
        makeRoom(sequence.savedBytes)
        do throws(SavedTextError) {
            try sequence.save(held, seed: 0, to: path)
        } catch {
            return tell("\(error)")
        }
        for entry in entries where held.starts(with: entry.tokens) { unsafe unlink(entry.path) }
        entries.removeAll { held.starts(with: $0.tokens) }
        entries.append(Entry(path: path, tokens: held))
        makeRoom(0)
    }

    /// Removes the files that were not used for the longest time, until `bytes` more fit the limit.
    private func makeRoom(_ bytes: Int) {
        var files = Self.names(folder, suffix: Self.suffix).compactMap {
            name -> (path: String, size: Int, time: Int)? in
            var status = stat()
            let path = folder + "/" + name
            guard unsafe stat(path, &status) == 0 else { return nil }
            let time = status.st_mtim
            return (path, Int(status.st_size), time.tv_sec * 1_000_000_000 + time.tv_nsec)
        }.sorted { $0.time < $1.time }
        var sum = files.reduce(0) { $0 + $1.size }
        while sum + bytes > limit, !files.isEmpty {
            let oldest = files.removeFirst()
            unsafe unlink(oldest.path)
            sum -= oldest.size
            entries.removeAll { $0.path == oldest.path }
        }
    }
}
