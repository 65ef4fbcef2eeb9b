import Foundation
import TesseraTestSupport
import Testing
import TesseraWeightFile

struct GoldenTests {
    /// With TESSERA_WRITE_GOLDEN=1, adds the files that are missing; existing ones are never touched.
    init() throws {
        guard ProcessInfo.processInfo.environment["TESSERA_WRITE_GOLDEN"] == "1" else { return }
        func add(_ folder: String, _ name: String, _ bytes: () throws -> [UInt8]) throws {
            let url = SecondReader.formats.appendingPathComponent(folder)
                .appendingPathComponent(name)
            try FileManager.default.createDirectory(
                at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
            guard !FileManager.default.fileExists(atPath: url.path) else { return }
            try Data(try bytes()).write(to: url)
        }
        for (name, model) in GoldenModels.all {
            try add("golden", name + ".tsr") { try model.fileBytes() }
            let file = SecondReader.formats.appendingPathComponent("golden/\(name).tsr")
            try add("golden", name + ".json") {
                let object = try #require(SecondReader.read([file]).first)
                let options: JSONSerialization.WritingOptions = [.prettyPrinted, .sortedKeys]
                return [UInt8](try JSONSerialization.data(withJSONObject: object, options: options))
                    + [10]
            }
        }
        for item in GoldenErrors.all {
            try add("golden-errors", item.fileName, item.fileBytes)
        }
    }

    @Test func goldenFilesReadAsExpectedHereAndInPython() throws {
        let files = try SecondReader.files(in: "golden", suffix: ".tsr")
        #expect(files.count == GoldenModels.all.count)
        let python = try SecondReader.read(files)
        for (url, second) in zip(files, python) {
            let expectedURL = url.deletingPathExtension().appendingPathExtension("json")
            let expected = try #require(
                JSONSerialization.jsonObject(with: Data(contentsOf: expectedURL)) as? NSDictionary)
            #expect(second == expected, "read_tsr.py differs on \(url.lastPathComponent)")
            let file = try WeightFile(path: url.path)
            try file.verify()
            // Through JSON as well, so that both sides went through the same number parser.
            let first = try #require(
                JSONSerialization.jsonObject(
                    with: JSONSerialization.data(withJSONObject: describe(file))) as? NSDictionary)
            for (key, value) in expected where first[key] as? NSObject != value as? NSObject {
                Issue.record(
                    "\(url.lastPathComponent) \(key): \(first[key] ?? "nothing"), not \(value)")
            }
        }
    }

    @Test func goldenFilesAreRewrittenByteForByte() throws {
        let folder = try TemporaryFolder()
        for url in try SecondReader.files(in: "golden", suffix: ".tsr") {
            let file = try WeightFile(path: url.path)
            let path = folder.file("copy.tsr")
            let writer = try WeightFileWriter(
                path: path, config: file.config, tokenizer: file.tokenizer,
                chatTemplate: file.chatTemplate,
                tensors: file.tensors.map {
                    TensorSpec(
                        name: $0.name, rows: $0.rows, columns: $0.columns, encoding: $0.encoding,
                        storage: $0.storage)
                }, source: file.source)
            for tensor in file.tensors {
                guard tensor.storage != .plain else {
                    try writer.append(file.bytes(of: tensor))
                    continue
                }
                for tile in 0..<tensor.tileCount {
                    try writer.appendTile(file.storedTile(tile, of: tensor))
                }
            }
            try writer.finish()
            let copy = try Data(contentsOf: URL(fileURLWithPath: path))
            #expect(copy == (try Data(contentsOf: url)), "\(url.lastPathComponent)")
        }
    }

    @Test func theWorkedExampleOfTheSpecificationHolds() throws {
        let url = SecondReader.formats.appendingPathComponent("golden/example.tsr")
        let file = try WeightFile(path: url.path)
        let tensor = try #require(file.tensor("example"))
        #expect(
            dequantize(tensor, in: file) == [-2, -1.75, -1.5, -1.25, -1, -0.75, -0.5, 1.75, 0.25])
    }

    /// The output of `read_tsr.py`, made by this reader.
    private func describe(_ file: WeightFile) -> [String: Any] {
        var config = describe(file.config)
        config["source"] = file.source
        return [
            "file": URL(fileURLWithPath: file.path).lastPathComponent, "valid": true,
            "fileBytes": file.fileBytes,
            "identity": String(repeating: "0", count: 16 - hex(file.identity).count)
                + hex(file.identity),
            "config": config, "tokenizer": describe(file.tokenizer),
            "chatTemplate": file.chatTemplate ?? NSNull(),
            "tensors": file.tensors.map { tensor -> [String: Any] in
                var values = dequantize(tensor, in: file)
                if tensor.storage == .trellis { turn(&values, columns: tensor.columns) }
                let bytes = values.withUnsafeBytes { Array($0) }
                var fields: [String: Any] = [
                    "name": tensor.name, "rows": tensor.rows, "columns": tensor.columns,
                    "encoding": "\(tensor.encoding)", "storage": "\(tensor.storage)",
                    "tileRows": tensor.tileRows, "tileCount": tensor.tileCount,
                    "offset": tensor.offset, "byteCount": tensor.byteCount,
                    "firstValues": values.prefix(9).map(Double.init),
                ]
                // The Python reader leaves it out where it would take it long.
                if values.count <= 1 << 16 {
                    fields["valuesChecksum"] = padded(XXH64.hash(bytes))
                }
                return fields
            },
        ]
    }

    /// Turns rows back, step by step as Formats/TSR.md §10 says.
    private func turn(_ values: inout [Float], columns: Int) {
        let block = columns & -columns
        let factor = 1 / Float(block).squareRoot()
        for index in values.indices { values[index] *= factor }
        var width = 1
        while width < block {
            for index in values.indices where index % columns % (2 * width) < width {
                let (a, b) = (values[index], values[index + width])
                (values[index], values[index + width]) = (a + b, a - b)
            }
            width *= 2
        }
    }

    private func describe(_ config: ModelConfig) -> [String: Any] {
        var fields: [String: Any] = [
            "name": config.name, "modelType": config.modelType, "hiddenSize": config.hiddenSize,
            "intermediateSize": config.intermediateSize, "layerCount": config.layerCount,
            "headCount": config.headCount, "kvHeadCount": config.kvHeadCount,
            "headDim": config.headDim, "vocabularySize": config.vocabularySize,
            "maxPositions": config.maxPositions, "rmsNormEps": Double(config.rmsNormEps),
            "embeddingScale": Double(config.embeddingScale),
            "rotaryTables": config.rotaryTables.map {
                [
                    "longestContext": $0.longestContext,
                    "attentionFactor": Double($0.attentionFactor),
                    "inverseFrequencies": $0.inverseFrequencies,
                ] as NSDictionary
            },
            "layers": config.layerRuns.map { count, spec in
                [
                    "count": count, "norms": spec.norms.rawValue,
                    "queryKeyNorm": spec.queryKeyNorm.rawValue,
                    "activation": spec.activation.rawValue, "rotary": spec.rotary,
                    "window": spec.window, "attentionScale": Double(spec.attentionScale),
                    "attentionBias": spec.attentionBias,
                ] as NSDictionary
            },
            "tieWordEmbeddings": config.tieWordEmbeddings,
            "queryScaling": config.queryScaling.map {
                ["beta": Double($0.beta), "originalMaxPositions": $0.originalMaxPositions]
                    as NSDictionary
            } ?? NSNull(),
            "blockDecoding": config.blockDecoding.map {
                [
                    "maskToken": $0.maskToken, "blockSize": $0.blockSize,
                    "subBlockSize": $0.subBlockSize, "shiftedLogits": $0.shiftedLogits,
                    "bidirectionalCommit": $0.bidirectionalCommit,
                    "confidenceThreshold": Double($0.confidenceThreshold),
                ] as NSDictionary
            } ?? NSNull(),
            "sampling": [
                "temperature": Double(config.sampling.temperature),
                "topK": config.sampling.topK, "topP": Double(config.sampling.topP),
            ],
        ]
        if let drafter = config.drafter { fields["drafter"] = describe(drafter) }
        return fields
    }

    private func describe(_ drafter: ModelConfig.Drafter) -> [String: Any] {
        [
            "targetLayers": drafter.targetLayers, "blockSize": drafter.blockSize,
            "maskToken": drafter.maskToken, "markovRank": drafter.markovRank,
            "predictsNext": drafter.predictsNext, "confidence": drafter.confidence.rawValue,
            "taps": drafter.taps, "draftTokens": drafter.draftTokens,
        ]
    }

    private func describe(_ tables: TokenizerTables) -> [String: Any] {
        var fields: [String: Any] = [
            "tokenCount": tables.tokens.count, "mergeCount": tables.merges.count,
            "preTokenizer": Int(tables.preTokenizer.rawValue), "pattern": tables.pattern,
            "ignoreMerges": tables.ignoreMerges, "normalizesNFC": tables.normalizesNFC,
            "addsBOS": tables.addsBOS, "bosToken": tables.bosToken ?? NSNull(),
            "padToken": tables.padToken ?? NSNull(),
            "unknownToken": tables.unknownToken ?? NSNull(), "eosTokens": tables.eosTokens,
            "kindCounts": (0..<(tables.kinds.contains(.byte) ? 5 : 4)).map { kind in
                tables.kinds.count { $0.rawValue == UInt8(kind) }
            },
            "firstTokens": tables.tokens.prefix(8).map { token in
                token.map { ($0 < 16 ? "0" : "") + hex(UInt64($0)) }.joined()
            },
            "firstMerges": tables.merges.prefix(8).map {
                [Int($0.left), Int($0.right), Int($0.result)]
            },
            "textChecksum": padded(XXH64.hash(tables.tokens.bytes)),
        ]
        // Only where they say something.
        if !tables.namesBOS || !tables.namesEOS {
            (fields["namesBOS"], fields["namesEOS"]) = (tables.namesBOS, tables.namesEOS)
        }
        if tables.preTokenizer == .sentencePiece {
            fields["spacePrefix"] = Int(tables.spacePrefix.rawValue)
        }
        if tables.merges.contains(where: \.sharesRank) {
            fields["sharedRanks"] = tables.merges.indices.filter { tables.merges[$0].sharesRank }
        }
        if !tables.addedFlags.isEmpty {
            fields["addedFlags"] = Dictionary(
                uniqueKeysWithValues: tables.addedFlags.map { ("\($0)", Int($1.rawValue)) })
        }
        return fields
    }

    private func hex(_ value: UInt64) -> String { String(value, radix: 16) }

    private func padded(_ value: UInt64) -> String {
        String(repeating: "0", count: 16 - hex(value).count) + hex(value)
    }
}
