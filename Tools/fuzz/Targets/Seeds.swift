import TesseraImport
import TesseraReporting

extension FuzzTarget {
    /// Inputs to begin with: files of the repository, and what was found before.
    public var seeds: [[UInt8]] { freshSeeds + findings }

    /// Inputs that once broke a promise, of `Tests/FuzzTests/Findings`.
    public var findings: [[UInt8]] { Repository.files("Tests/FuzzTests/Findings/\(rawValue)", "") }

    private var freshSeeds: [[UInt8]] {
        let imports = "Tests/ImportTests/Resources"
        return switch self {
        case .weightFile:
            (Repository.files("Formats/golden", ".tsr")
                + Repository.files("Formats/golden-errors", ".tsr"))
                .map { Self.withoutZeros($0.prefix(1 << 14)) }
        case .gguf: [Repository.file("\(imports)/mini.gguf")]
        case .blocks: BlocksTarget.seeds
        case .safetensors: Repository.files("\(imports)/mini", ".safetensors")
        case .json: FolderTarget.seeds
        case .template: TemplateTarget.seeds
        case .tokenizer: TokenizerTarget.seeds
        case .pattern: PatternTarget.seeds
        case .tiles: TilesTarget.seeds
        case .logits: LogitsTarget.seeds
        case .saved: SavedTarget.seeds
        case .session: SessionTarget.seeds
        case .grammar: GrammarTarget.seeds
        }
    }

    private static func withoutZeros(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        Array(bytes[..<(bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? bytes.startIndex)])
    }
}

extension BlocksTarget {
    /// Every type with any bytes, for both tensors.
    static var seeds: [[UInt8]] {
        types.indices.flatMap { type in
            [0, 1].map { name in
                [UInt8(type), UInt8(name)]
                    + (0..<512).map { UInt8(truncatingIfNeeded: $0 * 167 + type) }
            }
        }
    }
}

extension FolderTarget {
    static var seeds: [[UInt8]] {
        let configs = ["llama", "qwen3", "ministral3"].map {
            [0] + Repository.file("Tests/TransformerTests/Resources/\($0)/config.json")
        }
        return configs
            + others.indices.map { index in
                [UInt8(index)]
                    + Repository.file("Tests/ImportTests/Resources/mini/\(others[index])")
            }
    }
}

extension TemplateTarget {
    /// The templates that are held against Jinja, each with its messages.
    static var seeds: [[UInt8]] {
        let file = Repository.file("Tests/ChatTemplatesTests/Resources/templates.json")
        let cases = (try? JSONParser.parse(file))?.array ?? []
        return cases.map { example in
            let texts = (example["messages"]?.array ?? []).map { $0["content"]?.bytes ?? [] }
            return [0] + (example["template"]?.bytes ?? []) + texts.flatMap { [255] + $0 }
        }
    }
}

extension TokenizerTarget {
    /// The texts that are held against Hugging Face's tokenizers, with a few tokens to merge.
    static var seeds: [[UInt8]] {
        let vocabulary: [UInt8] =
            [1, 4] + [0] + Array("he".utf8) + [1] + Array("hel".utf8) + [0] + Array("ll".utf8)
            + [250] + Array("<|end>".utf8)
        return zip(0..., texts).map { index, text in
            vocabulary + [UInt8(index % 4), UInt8(index % 3)] + text.prefix(512)
        }
    }

    static var texts: [[UInt8]] {
        let file = Repository.file("Tests/TokenizationTests/Resources/tokenizer-cases.json")
        return ((try? JSONParser.parse(file))?["texts"]?.array ?? []).compactMap(\.bytes)
    }
}

extension PatternTarget {
    static var seeds: [[UInt8]] {
        let patterns =
            PreTokenizerPatterns.scanned.map(\.pattern) + [
                PreTokenizerPatterns.tekken, #"(?i:a|bc?)+?[^\s\p{Lu}]{2,3}(?=x)(?!\S)"#,
                #"[a-z\d]*+\w\W"#,
            ]
        return zip(0..., TokenizerTarget.texts.prefix(60)).map { index, text in
            Array(patterns[index % patterns.count].utf8) + [255] + text.prefix(200)
        }
    }
}

extension TilesTarget {
    /// Every storage class and encoding, for tiles as they are written, changed and made of any bytes.
    static var seeds: [[UInt8]] {
        var seeds: [[UInt8]] = []
        for storage: UInt8 in 0..<3 {
            for encoding: UInt8 in 0..<3 {
                for mode: UInt8 in 0..<3 {
                    let content = (0..<200).map { UInt8(truncatingIfNeeded: 100 + $0 * $0 % 57) }
                    seeds.append([storage, encoding, encoding, 39 + storage * 40, mode] + content)
                }
            }
        }
        return seeds
    }
}

extension LogitsTarget {
    /// Three positions of two logits, and sizes that no file has.
    static var seeds: [[UInt8]] {
        func file(_ positions: UInt32, _ vocabulary: UInt32, _ content: Int) -> [UInt8] {
            let fields = [1, positions, vocabulary].flatMap { field in
                (0..<4).map { UInt8(truncatingIfNeeded: field >> (8 * UInt32($0))) }
            }
            return Array("TSRLOGIT".utf8) + fields + [UInt8](repeating: 1, count: content)
        }
        return [file(3, 2, 40), file(.max, .max, 16), file(1 << 31, 1 << 31, 16), file(1, 0, 8)]
    }
}

extension SavedTarget {
    static var seeds: [[UInt8]] {
        let profile = """
            {"model": "m", "isa": "avx2", "threads": 2, "kind": "k", "peak_rss_bytes": 1e8, "limits":
            {"read_bytes_per_second": 1e10, "int8_macs_per_second": 1e11}, "passes": [{"positions": 1,
            "context": 0, "samples_ns": [1e6, 1.1e6, 9e5, 1e6]}, {"positions": 8, "context": 16,
            "samples_ns": [4e6]}]}
            """
        let machine = """
            {"threads": 2, "limits": {"read_bytes_per_second": 1e10, "int8_macs_per_second": 1e11},
            "reading": [{"threads": 2, "bytes_per_second": 9e9, "int8_macs_per_second": 1e11}],
            "memory": {"available_bytes": 1e9, "group_limit_bytes": 2e9}, "disk": {"bytes_per_second": 1e8}}
            """
        return zip(UInt8(0)..., [profile, machine]).map { [$0] + Array($1.utf8) }
    }
}
