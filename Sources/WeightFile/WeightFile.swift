/// A `.tsr` file, open for reading. Formats/TSR.md.
///
/// Opening is one mapping plus a check of everything but the tensors' own bytes, whose checksums
/// `verify` proves; after that, access cannot fail. Weights are never copied: kernels read the
/// mapping. Safe to use from several threads.
public final class WeightFile: Sendable {
    public let config: ModelConfig
    /// Where the model came from, in the words of the program that wrote the file.
    public let source: String
    public let tokenizer: TokenizerTables
    /// The model's Jinja chat template.
    public let chatTemplate: String?
    /// In file order, which is execution order.
    public let tensors: [TensorRecord]
    /// XXH64 over header and, through its checksums, everything else: names this very content.
    public let identity: UInt64
    private let index: [String: Int]
    let header: Header
    let file: MappedFile

    /// Opens and checks the file at `path`.
    public init(path: String) throws(WeightFileError) {
        let file = try MappedFile(path: path)
        let metadata: Metadata
        do throws(Violation) {
            metadata = try Metadata(parsing: file.bytes, fileBytes: file.byteCount)
        } catch {
            throw .invalid(path: path, error)
        }
        self.file = file
        header = metadata.header
        config = metadata.config
        source = metadata.source
        tokenizer = metadata.tokenizer
        chatTemplate = metadata.chatTemplate
        tensors = metadata.tensors
        index = metadata.index
        identity = metadata.header.headerChecksum
    }

    public var path: String { file.path }

    /// Size of the file.
    public var fileBytes: Int { file.byteCount }

    /// Bytes in front of the tensors.
    public var metadataBytes: Int { header.dataOffset }

    /// The tensor of that name.
    public func tensor(_ name: String) -> TensorRecord? {
        index[name].map { tensors[$0] }
    }

    /// The stored bytes of `tensor`, in the mapping.
    ///
    /// - Precondition: `tensor` is one of this file's.
    @_lifetime(borrow self)
    public func bytes(of tensor: TensorRecord) -> RawSpan {
        let file = self.file
        let bytes = file.bytes.extracting(tensor.offset..<tensor.offset + tensor.byteCount)
        // Safe: the mapping lives as long as `file`, which this object owns.
        return unsafe _overrideLifetime(bytes, borrowing: self)
    }

    /// Stored bytes of tile `index` of `tensor` in the file: always some of the tensor's, even where the
    /// tile table was written to after the file was opened.
    ///
    /// - Precondition: `tensor` is one of this file's and has the tile.
    public func tileRange(_ index: Int, of tensor: TensorRecord) -> Range<Int> {
        precondition(index >= 0 && index < tensor.tileCount, "tile \(index)")
        guard tensor.storage != .plain else {
            let start = tensor.offset + index * tensor.plainTileBytes(0)
            return start..<start + tensor.plainTileBytes(index)
        }
        let entry = tileEntry(index, of: tensor)
        let file = self.file
        let end = tensor.offset + tensor.byteCount
        let told = Int(truncatingIfNeeded: file.bytes.u64(at: entry))
        let start = min(max(told, tensor.offset), end - TileCoder.leastStored)
        let count = max(TileCoder.leastStored, Int(file.bytes.u32(at: entry + 16)))
        return start..<min(start + count, end)
    }

    /// Where the tile table speaks of a tile.
    func tileEntry(_ index: Int, of tensor: TensorRecord) -> Int {
        header[.tileTable].lowerBound + (tensor.firstTile + index) * TensorDirectory.tileBytes
    }

    /// Address of the first byte of `tensor`, aligned to 64 bytes, for tensors of 16 KiB and more
    /// to the page size; valid while this object lives.
    ///
    /// - Precondition: `tensor` is one of this file's.
    @unsafe public func unsafePointer(of tensor: TensorRecord) -> UnsafeRawPointer {
        precondition(tensor.offset + tensor.byteCount <= fileBytes, "tensor of another file")
        return unsafe file.pointer(at: tensor.offset)
    }

    /// A path that leads to the opened file, even where another has taken its name meanwhile.
    public var descriptorPath: String { file.descriptorPath }

    /// Address of byte `offset` of the mapped file; valid while this object lives.
    @unsafe public func unsafePointer(at offset: Int) -> UnsafeRawPointer {
        unsafe file.pointer(at: offset)
    }
}
