internal import Glibc
internal import TesseraMachine
package import TesseraTransformer
internal import TesseraWeightFile

/// Texts with their caches in a folder, so that a later process need not compute what they begin with.
///
/// Each is a file as Formats/SESSION.md says. A prompt takes up the text that begins most like it, whatever
/// conversation that came from. Nothing here is an error of whoever asks: what cannot be read or written is noted.
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
        /// Those that the cache holds.
        var tokens: [Int32]
    }

    /// What ends the names of these files.
    private static let suffix = ".prompt"
    /// Fewer new tokens are not worth a file.
    private static let least = 32

    /// Looks at the files of a model.
    ///
    /// - Parameters:
    ///   - sequence: Of the model, with the kind of cache that all texts have.
    ///   - note: Told what went wrong, in one line.
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

    /// What the names of this model's files begin with.
    private var prefix: String { Self.hexadecimal(shape.model) + "-" }

    private static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// Removes what processes have left that ended while they were writing.
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

    /// Names of files, whatever model they belong to.
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

    /// Notes what has not been noted last.
    private func tell(_ text: String) {
        guard text != lastNote else { return }
        lastNote = text
        note("prompt cache: \(text)")
    }

    /// How many of the first of `ids` the fullest text holds.
    private func best(_ ids: ArraySlice<Int32>) -> (index: Int, count: Int)? {
        let counts = entries.map { entry in zip(entry.tokens, ids).prefix { $0 == $1 }.count }
        guard let index = counts.indices.max(by: { counts[$0] < counts[$1] }) else { return nil }
        return (index, counts[index])
    }

    /// Gives a sequence what a text holds of a prompt.
    ///
    /// - Parameters:
    ///   - ids: The prompt without its last token.
    ///   - held: Tokens of it that are at hand; a text is taken up where it holds more.
    /// - Returns: How many of `ids` the sequence holds now; nil where it has not been changed.
    package func restore(
        _ ids: ArraySlice<Int32>, held: Int, to sequence: TokenSequence
    ) -> Int? {
        // All of a text is read, so that few tokens of a long one are computed sooner.
        guard let (index, count) = best(ids), count - held >= max(4, count / 64) else { return nil }
        let path = entries[index].path
        do throws(SavedTextError) {
            let saved = try SavedText(path: path)
            guard saved.content.tokens.starts(with: entries[index].tokens) else {
                // Written anew by somebody else.
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

    /// Writes a text, if it holds enough that no other one does. Texts that it begins with go.
    ///
    /// - Parameter tokens: Of the text; the first of them are those that the sequence has committed.
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

    /// Removes the files that have not been used for longest, until `bytes` more fit the limit.
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
