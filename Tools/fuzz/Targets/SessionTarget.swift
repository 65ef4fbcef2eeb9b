import TesseraKernels
import TesseraTransformer
import TesseraWeightFile

/// A saved text with its cache. The first byte chooses the model and the kind of cache that go on with it; the
/// rest is the file.
enum SessionTarget {
    private static let folder = InputFolder("session")
    /// All layers see the whole context, or some a window.
    private static let models = ["int8-everything", "layers"]
    private static let (contextLength, batchCapacity) = (48, 8)
    /// Where a file holds the checksums of its cache and of everything before, and the size of the cache.
    private static let (cacheBytes, cacheChecksum, headerChecksum) = (80, 88, 96)
    private static let headerBytes = 128
    // Targets run on one thread.
    nonisolated(unsafe) private static var sequences: [Int: TokenSequence] = [:]

    /// Reads the file as it is, and once more with its checksums made right.
    static func run(_ bytes: [UInt8]) {
        var input = InputBytes(bytes)
        let sequence = sequence(input.choice(models.count * KVLayer.Encoding.allCases.count))
        let file = Array(input.rest)
        open(file, sequence)
        if let mended = mended(file) { open(mended, sequence) }
    }

    private static func sequence(_ index: Int) -> TokenSequence {
        if let known = sequences[index] { return known }
        let encodings = KVLayer.Encoding.allCases
        var options = Model.Options()
        (options.contextLength, options.batchCapacity) = (contextLength, batchCapacity)
        (options.kvEncoding, options.threads) = (encodings[index % encodings.count], 1)
        let name = models[index / encodings.count]
        guard let file = try? WeightFile(path: "\(Repository.path)/Formats/golden/\(name).tsr"),
            let sequence = try? TokenSequence(file, options: options)
        else { fatalError("\(name) cannot be opened") }
        sequences[index] = sequence
        return sequence
    }

    private static func open(_ bytes: [UInt8], _ sequence: TokenSequence) {
        let path = folder.write(bytes, to: "text.session")
        do throws(SavedTextError) {
            let saved = try SavedText(path: path)
            try sequence.restore(saved, path: path)
            defer { sequence.reset() }
            precondition(sequence.position == saved.content.committed, "not the saved position")
            // A file that is written again at once has the same contents.
            let again = folder.path + "/again.session"
            let content = saved.content
            try sequence.save(
                content.tokens, seed: content.seed, restarts: content.restarts,
                conversation: content.conversation, to: again)
            let reread = try SavedText(path: again).content
            precondition(
                lengthless(reread) == lengthless(content), "another file")
            // Keys and values of any bytes may give numbers that are none: these are counted, and refused elsewhere.
            guard (try? sequence.forward(committed: [1, 2, 3], logitRows: [2])) != nil else {
                fatalError("a pass of three tokens failed")
            }
        } catch {
            precondition(!error.description.isEmpty)
        }
    }

    /// The lengths of rings are those of the reader, where nothing was evicted.
    private static func lengthless(_ content: SavedText.Content) -> SavedText.Content {
        var content = content
        for index in content.rings.indices { content.rings[index].length = 0 }
        return content
    }

    private static func mended(_ bytes: [UInt8]) -> [UInt8]? {
        guard bytes.count >= headerBytes,
            let size = bytes.number(at: cacheBytes), size <= bytes.count,
            bytes.count - size >= headerBytes
        else { return nil }
        var mended = bytes
        let begin = bytes.count - size
        mended.put(size == 0 ? 0 : XXH64.hash(Array(bytes[begin...])), at: cacheChecksum)
        let first = XXH64.hash(Array(mended[..<headerChecksum]))
        let rest = Array(mended[(headerChecksum + 8)..<begin])
        mended.put(XXH64.hash(rest, seed: first), at: headerChecksum)
        return mended
    }

    /// Short and long texts of each model and cache.
    static var seeds: [[UInt8]] {
        (0..<models.count * KVLayer.Encoding.allCases.count).flatMap { index in
            let sequence = sequence(index)
            return [3, 40].compactMap { count -> [UInt8]? in
                let tokens = (0..<count).map { Int32($0 % sequence.config.vocabularySize) }
                let path = folder.path + "/seed.session"
                defer { sequence.reset() }
                guard
                    (try? sequence.forward(committed: tokens, logitRows: [count - 1])) != nil,
                    (try? sequence.save(tokens + [1], seed: 5, to: path)) != nil
                else { return nil }
                return [UInt8(index)] + InputFolder.read(path)
            }
        }
    }
}
