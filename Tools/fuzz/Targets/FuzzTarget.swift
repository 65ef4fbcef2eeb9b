/// The parts of the program that read bytes of strangers. Each target feeds one of them with any bytes
/// at all, and ends the process where a promise is broken: an error without a description, two ways to
/// the same result that differ, a limit that does not hold. AddressSanitizer watches the memory.
///
/// `Tools/fuzz/run` lets libFuzzer choose the bytes; the tests run every target over its seeds, over what
/// was found before, and over seeded mutations.
public enum FuzzTarget: String, CaseIterable, Sendable {
    /// A `.tsr` file.
    case weightFile = "weight-file"
    /// A GGUF file.
    case gguf
    /// Blocks of every type of tensor that GGUF knows.
    case blocks
    /// The weights of a Hugging Face folder.
    case safetensors
    /// Its other files: the first byte chooses which.
    case json
    /// A chat template and what users write, separated by bytes of 255.
    case template
    /// A vocabulary and a text.
    case tokenizer
    /// The regular expression of a tokenizer and a text, separated by a byte of 255.
    case pattern
    /// Stored tiles of every storage class.
    case tiles
    /// A file of logits.
    case logits
    /// Profiles and machines, as the program saved them: the first byte chooses which.
    case saved
    /// A text with its cache, as `--session` saved it.
    case session
    /// A grammar or a JSON Schema, and choices of a text that follows it, separated by a byte of 255: the first byte
    /// chooses the kind.
    case grammar

    /// Reads `bytes` as this target does.
    public func run(_ bytes: [UInt8]) {
        switch self {
        case .weightFile: WeightFileTarget.run(bytes)
        case .gguf: GGUFTarget.run(bytes)
        case .blocks: BlocksTarget.run(bytes)
        case .safetensors: FolderTarget.run(weights: bytes)
        case .json: FolderTarget.run(anyOther: bytes)
        case .template: TemplateTarget.run(bytes)
        case .tokenizer: TokenizerTarget.run(bytes)
        case .pattern: PatternTarget.run(bytes)
        case .tiles: TilesTarget.run(bytes)
        case .logits: LogitsTarget.run(bytes)
        case .saved: SavedTarget.run(bytes)
        case .session: SessionTarget.run(bytes)
        case .grammar: GrammarTarget.run(bytes)
        }
    }

    /// Bytes beyond which an input teaches nothing new.
    public var largestInput: Int {
        switch self {
        case .weightFile, .gguf, .safetensors: 1 << 16
        case .json: 1 << 14
        case .template, .tokenizer, .tiles, .blocks, .saved, .grammar: 1 << 12
        case .session: 1 << 13
        case .pattern, .logits: 1 << 10
        }
    }
}

extension FuzzTarget {
    /// Reads the bytes of a file as this target does.
    public func run(file: String) { run(InputFolder.read(file)) }
}
