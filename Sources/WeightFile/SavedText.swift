/// A text with its key/value cache, as a file: Formats/SESSION.md. Opening is one mapping and a check of every
/// byte.
public final class SavedText: Sendable {
    /// What a cache must have in common with a saved one.
    public struct Shape: Sendable, Equatable {
        /// Identity of the weight file: ``WeightFile/identity``.
        public var model: UInt64
        /// Numbers of keys and values: 1 int8, 2 f16, 3 f32, 4 int4.
        public var encoding: UInt32
        public var layers: Int
        public var kvHeads: Int
        public var headDim: Int
        public var sinks: Int

        public init(
            model: UInt64, encoding: UInt32, layers: Int, kvHeads: Int, headDim: Int, sinks: Int
        ) {
            (self.model, self.encoding, self.layers) = (model, encoding, layers)
            (self.kvHeads, self.headDim, self.sinks) = (kvHeads, headDim, sinks)
        }
    }

    /// The saved slots of all layers that share a window, and the positions in them.
    public struct Ring: Sendable, Equatable {
        public var slots: Int
        /// Slots after which positions begin anew.
        public var length: Int
        /// Lowest position, sinks aside, from which on every committed one is held.
        public var oldestHeld: Int

        public init(slots: Int, length: Int, oldestHeld: Int) {
            (self.slots, self.length, self.oldestHeld) = (slots, length, oldestHeld)
        }
    }

    /// Everything except the bytes of the cache.
    public struct Content: Sendable, Equatable {
        public var shape: Shape
        public var rings: [Ring]
        /// All tokens of the text.
        public var tokens: [Int32]
        /// How many of them the cache holds.
        public var committed: Int
        /// Seed of the random numbers.
        public var seed: UInt64
        /// How often a conversation has drawn anew.
        public var restarts: Int
        /// The conversation as JSON; empty for other texts.
        public var conversation: [UInt8]

        public init(
            shape: Shape, rings: [Ring], tokens: [Int32], committed: Int, seed: UInt64,
            restarts: Int = 0, conversation: [UInt8] = []
        ) {
            (self.shape, self.rings, self.tokens) = (shape, rings, tokens)
            (self.committed, self.seed, self.restarts) = (committed, seed, restarts)
            self.conversation = conversation
        }
    }

    public let content: Content
    private let file: MappedFile
    private let cacheRange: Range<Int>

    private static let magic: UInt64 = 0x5458_4554_5253_5400  // "\0TSRTEXT"
    private static let version: UInt32 = 1
    private static let headerBytes = 128
    private static let ringBytes = 24
    /// Bytes of the cache that are hashed together.
    private static let chunkBytes = 1 << 20

    /// - Parameter checksCache: Whether keys and values are read too, to be checked; without, only what stands
    ///   in front of them.
    /// - Throws: `notSaved` where the file is not a saved text, `damaged` where a byte has changed.
    public init(path: String, checksCache: Bool = true) throws(SavedTextError) {
        do {
            file = try MappedFile(path: path)
        } catch {
            throw .file(error)
        }
        let sections = try Sections(file, checksCache: checksCache)
        cacheRange = sections.cacheBegin..<file.byteCount
        content = Self.content(file, sections)
    }

    /// Where things are, checked against the file's size and checksums.
    private struct Sections {
        let ringCount: Int
        let tokenCount: Int
        let committed: Int
        let conversationBytes: Int
        let tokenBegin: Int
        let conversationBegin: Int
        let cacheBegin: Int

        init(_ file: MappedFile, checksCache: Bool) throws(SavedTextError) {
            let (size, path) = (file.byteCount, file.path)
            guard size >= headerBytes, file.bytes.u64(at: 0) == magic else {
                throw .notSaved(path: path)
            }
            let found = file.bytes.u32(at: 8)
            guard found == version else { throw .version(path: path, found: found) }
            tokenCount = try Self.count(file, 56, most: size / 4)
            committed = try Self.count(file, 64, most: tokenCount)
            conversationBytes = try Self.count(file, 72, most: size)
            let cacheBytes = try Self.count(file, 80, most: size)
            ringCount = Int(file.bytes.u32(at: 48))
            guard ringCount <= size / ringBytes else { throw .damaged(path: path) }
            tokenBegin = headerBytes + ringCount * ringBytes
            conversationBegin = tokenBegin + tokenCount * 4
            cacheBegin = (conversationBegin + conversationBytes + 63) / 64 * 64
            guard cacheBegin + cacheBytes == size,
                file.bytes.u64(at: 96) == headerChecksum(file.bytes.extracting(0..<cacheBegin)),
                !checksCache
                    || file.bytes.u64(at: 88)
                        == cacheChecksum(file.bytes.extracting(cacheBegin..<size))
            else { throw .damaged(path: path) }
        }

        private static func count(
            _ file: MappedFile, _ offset: Int, most: Int
        ) throws(SavedTextError) -> Int {
            guard let value = Int(exactly: file.bytes.u64(at: offset)), value <= most else {
                throw .damaged(path: file.path)
            }
            return value
        }
    }

    private static func content(_ file: MappedFile, _ sections: Sections) -> Content {
        let bytes = file.bytes
        var rings: [Ring] = []
        for index in 0..<sections.ringCount {
            let at = headerBytes + index * ringBytes
            rings.append(
                Ring(
                    slots: Int(truncatingIfNeeded: bytes.u64(at: at)),
                    length: Int(truncatingIfNeeded: bytes.u64(at: at + 8)),
                    oldestHeld: Int(truncatingIfNeeded: bytes.u64(at: at + 16))))
        }
        return Content(
            shape: Shape(
                model: bytes.u64(at: 16), encoding: bytes.u32(at: 12),
                layers: Int(bytes.u32(at: 32)), kvHeads: Int(bytes.u32(at: 36)),
                headDim: Int(bytes.u32(at: 40)), sinks: Int(bytes.u32(at: 44))),
            rings: rings,
            tokens: bytes.array(
                of: Int32.self, at: sections.tokenBegin, count: sections.tokenCount),
            committed: sections.committed, seed: bytes.u64(at: 24),
            restarts: Int(bytes.u32(at: 52)),
            conversation: bytes.array(
                of: UInt8.self, at: sections.conversationBegin, count: sections.conversationBytes))
    }

    /// Keys and values in the order in which they were written.
    public var cache: RawSpan {
        @_lifetime(borrow self)
        get {
            let file = self.file
            let bytes = file.bytes.extracting(cacheRange)
            // Safe: the mapping lives as long as `file`, which this object owns.
            return unsafe _overrideLifetime(bytes, borrowing: self)
        }
    }

    /// Each chunk's hash is the seed of the next one's.
    private static func cacheChecksum(_ bytes: RawSpan) -> UInt64 {
        var checksum: UInt64 = 0
        var begin = 0
        while begin < bytes.byteCount {
            let end = min(bytes.byteCount, begin + chunkBytes)
            checksum = XXH64.hash(bytes.extracting(begin..<end), seed: checksum)
            begin = end
        }
        return checksum
    }

    /// Checksum of everything before the cache, with zeros in place of the checksum itself.
    private static func headerChecksum(_ bytes: RawSpan) -> UInt64 {
        let first = XXH64.hash(bytes.extracting(0..<96))
        return XXH64.hash(bytes.extracting(104..<bytes.byteCount), seed: first)
    }

    /// Writes the file under another name, brings it to disk and renames it.
    ///
    /// - Parameters:
    ///   - cacheBytes: Bytes that `cache` appends.
    ///   - cache: Appends keys and values.
    public static func write(
        _ content: Content, to path: String, cacheBytes: Int,
        cache: ((RawSpan) throws(WeightFileError) -> Void) throws(WeightFileError) -> Void
    ) throws(WeightFileError) {
        var fields = FieldWriter()
        fields.u64(magic)
        fields.u32(version)
        fields.u32(content.shape.encoding)
        fields.u64(content.shape.model)
        fields.u64(content.seed)
        fields.int32(content.shape.layers)
        fields.int32(content.shape.kvHeads)
        fields.int32(content.shape.headDim)
        fields.int32(content.shape.sinks)
        fields.int32(content.rings.count)
        fields.int32(content.restarts)
        fields.int64(content.tokens.count)
        fields.int64(content.committed)
        fields.int64(content.conversation.count)
        fields.int64(cacheBytes)
        fields.zeros(headerBytes - fields.bytes.count)  // checksums come last
        for ring in content.rings {
            fields.int64(ring.slots)
            fields.int64(ring.length)
            fields.int64(ring.oldestHeld)
        }
        for token in content.tokens { fields.u32(UInt32(bitPattern: token)) }
        fields.append(content.conversation)
        fields.align(to: 64)
        var header = fields.bytes
        let output = try OutputFile(OutputPlace(path, takesStreams: false))
        try output.append(header)
        var chunk: [UInt8] = []
        var checksum: UInt64 = 0
        func writeChunk() throws(WeightFileError) {
            checksum = XXH64.hash(chunk, seed: checksum)
            try output.append(chunk)
            chunk.removeAll(keepingCapacity: true)
        }
        try cache { span throws(WeightFileError) in
            var done = 0
            while done < span.byteCount {
                let count = min(span.byteCount - done, chunkBytes - chunk.count)
                chunk += span.array(of: UInt8.self, at: done, count: count)
                done += count
                if chunk.count == chunkBytes { try writeChunk() }
            }
        }
        if !chunk.isEmpty { try writeChunk() }
        put(checksum, into: &header, at: 88)
        put(headerChecksum(header.rawSpan), into: &header, at: 96)
        try output.write(Array(header.prefix(headerBytes)).rawSpan, at: 0)
        try output.commit()
    }

    private static func put(_ value: UInt64, into bytes: inout [UInt8], at offset: Int) {
        for index in 0..<8 {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }
}

/// Why a saved text cannot be continued.
public enum SavedTextError: Error, Equatable, CustomStringConvertible {
    case file(WeightFileError)
    /// The file is not a saved text.
    case notSaved(path: String)
    /// Written by another version of this program.
    case version(path: String, found: UInt32)
    case damaged(path: String)
    /// It belongs to another model, or to another way to run this one.
    case unlike(path: String, String)

    public var description: String {
        switch self {
        case .file(let error): error.description
        case .notSaved(let path): "'\(path)' is not a saved session; name another file"
        case .version(let path, let found):
            "'\(path)' is a session of format \(found), and this program reads format 1; begin anew with another file"
        case .damaged(let path):
            "'\(path)' is damaged: its parts do not agree; begin anew with another file"
        case .unlike(let path, let reason): "'\(path)': the session \(reason)"
        }
    }
}
