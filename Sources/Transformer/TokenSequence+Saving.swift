internal import TesseraKernels
public import TesseraWeightFile

/// Texts that outlive the process.
extension TokenSequence {
    /// Writes the cache together with the text that it belongs to.
    ///
    /// - Parameters:
    ///   - tokens: Tokens of the whole text; the first `position` of them are committed.
    ///   - seed: Seed of the random numbers.
    ///   - restarts: How often a conversation has drawn anew.
    ///   - conversation: As JSON.
    /// - Throws: `unlike` where the text has outgrown its context, or holds wrong values; `file` where it
    ///   cannot be written, and what was there before stays.
    public func save(
        _ tokens: [Int32], seed: UInt64, restarts: Int = 0, conversation: [UInt8] = [],
        to path: String
    ) throws(SavedTextError) {
        precondition(tokens.count >= position, "\(tokens.count) of \(position) tokens")
        try checkRotation(path)
        guard !isNotFinite, let rings = cache.saved(upTo: position) else {
            throw .unlike(
                path: path, "cannot be saved: the text has outgrown the context of \(contextLength)"
            )
        }
        let content = SavedText.Content(
            shape: shape, rings: rings, tokens: tokens, committed: position, seed: seed,
            restarts: restarts, conversation: conversation)
        do {
            try SavedText.write(
                content, to: path, cacheBytes: cache.savedBytes(rings)
            ) { append throws(WeightFileError) in try cache.write(rings, append) }
        } catch {
            throw .file(error)
        }
    }

    /// Whether the first `count` tokens of a saved text of the same shape can be taken over: they fit the context,
    /// and the saved cache has every position that later tokens see.
    package func canRestore(_ content: SavedText.Content, upTo count: Int) -> Bool {
        count <= min(content.committed, contextLength)
            && cache.slots(toTake: content.rings, of: content.committed, upTo: count) != nil
    }

    /// Takes over a saved text. The text goes on as it would have gone on where it was saved.
    ///
    /// - Parameter most: Tokens that are taken over at most; nil: all that are committed.
    /// - Throws: `unlike` where the text belongs to another model, to another kind of cache, or to a longer
    ///   context; `damaged` where it has tokens or a cache that this model cannot have.
    public func restore(
        _ saved: SavedText, upTo most: Int? = nil, path: String
    ) throws(SavedTextError) {
        let (content, mine) = (saved.content, shape)
        let count = min(content.committed, most ?? .max)
        try checkRotation(path)
        guard content.shape.model == mine.model else {
            throw .unlike(
                path: path, "belongs to another model file; name the one it was made with")
        }
        guard content.shape.encoding == mine.encoding else {
            let name = KVLayer.Encoding.allCases.first { $0.code == content.shape.encoding }
            throw .unlike(
                path: path,
                "has a cache of \(name?.rawValue ?? "another kind"); give --kv \(name?.rawValue ?? "")"
            )
        }
        guard content.shape == mine, count <= contextLength,
            let slots = cache.slots(toTake: content.rings, of: content.committed, upTo: count)
        else {
            throw .unlike(
                path: path,
                "does not fit a context of \(contextLength); give --ctx as it was made with, or more"
            )
        }
        let vocabulary = 0..<Int32(config.vocabularySize)
        guard saved.cache.byteCount == cache.savedBytes(content.rings),
            content.tokens.allSatisfy(vocabulary.contains),
            cache.isFinite(content.rings, saved.cache)
        else { throw .damaged(path: path) }
        cache.read(content.rings, slots: slots, from: saved.cache)
        position = count
        isNotFinite = false
        draftContext?.truncate(to: 0)  // it is of another text
    }

    /// Refuses runs whose context is so long that keys are rotated with another table (LongRoPE): the file does not
    /// say which table was used.
    private func checkRotation(_ path: String) throws(SavedTextError) {
        guard let most = config.longestPlainContext, model.contextLength > most else { return }
        throw .unlike(
            path: path,
            "cannot be used with a context of \(model.contextLength): this model turns long contexts "
                + "another way; give --ctx \(most) or less")
    }

    /// Bytes of a file that ``save(_:seed:restarts:conversation:to:)`` writes, except its head; 0 where the text
    /// has outgrown its context.
    package var savedBytes: Int { cache.saved(upTo: position).map { cache.savedBytes($0) } ?? 0 }

    /// What a cache must have in common with a saved one.
    package var shape: SavedText.Shape {
        SavedText.Shape(
            model: model.file.identity, encoding: model.options.kvEncoding.code,
            layers: cache.layers.count, kvHeads: config.kvHeadCount, headDim: config.headDim,
            sinks: cache.sinks)
    }
}
