import Foundation
import TesseraKernels
import TesseraMachine
import Testing
import TesseraWeightFile

@testable import TesseraResidency
@testable import TesseraTransformer

/// The model that comes with the program, with less memory than its weights.
@Suite(.timeLimit(.minutes(30))) struct StreamTests {
    static let model = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Resources/word-problems.tsr").standardizedFileURL

    /// - Parameter share: Share of the weights that have room; nil: no limit.
    func options(
        _ share: Double?, _ method: InputMethod, path: String = model.path
    ) throws -> Model.Options {
        var options = Model.Options()
        options.threads = 2
        options.contextLength = 256
        options.batchCapacity = 32
        options.logitCapacity = 16
        options.inputMethod = method
        guard let share else { return options }
        let plan = try Model.plan(try WeightFile(path: path), options: options)
        let free = Int(share * Double(plan.weightBytes)) + 650_000
        options.memory = MemoryBudget(bytes: plan.needs.total + free, source: .option)
        return options
    }

    /// Logits of some passes: with and without logits, long and short, some twice.
    func logits(_ transformer: TokenSequence) throws -> [Float] {
        var values: [Float] = []
        func keep(_ rows: Int) {
            for row in 0..<rows {
                for column in 0..<transformer.config.vocabularySize {
                    values.append(transformer.logits[row * transformer.logitStride + column])
                }
            }
        }
        try transformer.forward(committed: (0..<70).map { Int32($0 * 7 % 600) }, logitRows: [])
        try transformer.forward(committed: [5], logitRows: [0])
        keep(1)
        try transformer.forward(
            committed: [9, 8], open: [3, 3, 3, 3], logitRows: [1, 2, 3, 4, 5])
        keep(5)
        try transformer.forward(committed: [4, 4], logitRows: [])
        try transformer.forward(committed: [], open: [3], logitRows: [0])
        keep(1)
        return values
    }

    @Test(arguments: [0.0, 0.2, 0.5], [InputMethod.auto, .direct, .buffered, .mapped])
    func streamedWeightsGiveTheLogitsOfResidentOnesBitForBit(
        share: Double, method: InputMethod
    ) throws {
        let file = try WeightFile(path: Self.model.path)
        let resident = try TokenSequence(file, options: try options(nil, method))
        #expect(resident.model.residency.isResident && resident.model.inputMethod == nil)
        let streamed = try TokenSequence(file, options: try options(share, method))
        #expect(!streamed.model.residency.isResident)
        #expect(streamed.model.residency.hitRate < 0.95)
        #expect(try logits(streamed) == logits(resident))
        let counters = streamed.model.takeStreamCounters()
        // Eight passes. One is cut in three, and five do without the head.
        #expect(counters.bytes > 3 * streamed.model.residency.streamedBytes)
    }

    @Test func severalSequencesReadStreamedWeightsOnce() throws {
        let file = try WeightFile(path: Self.model.path)
        var options = try options(nil, .direct)
        options.furtherContexts = [256, 256]
        let plan = try Model.plan(file, options: options)
        options.memory = MemoryBudget(
            bytes: plan.needs.total + plan.weightBytes / 5 + 650_000, source: .option)
        let workspace = try Workspace(Model(file, options: options))
        let sequences = try (0..<3).map { _ in try TokenSequence(workspace) }
        for (index, sequence) in sequences.enumerated() {
            try sequence.forward(committed: Array(repeating: 7, count: 5 + index), logitRows: [])
        }
        _ = workspace.model.takeStreamCounters()
        let streamed = workspace.model.residency.streamedBytes
        let window = workspace.model.residency.windowBytes
        for _ in 0..<20 {
            try workspace.forward(
                sequences.map { Segment($0, committed: [3], logitRows: [0]) })
        }
        let bytes = workspace.model.takeStreamCounters().bytes
        #expect(streamed > 0 && bytes <= 20 * streamed + window)
        #expect(bytes >= 20 * streamed - window)
    }

    /// The model with its matrices of integers coded.
    func codedModel() throws -> URL {
        let file = try WeightFile(path: Self.model.path)
        let url = FileManager.default.temporaryDirectory.appending(path: "coded-\(UUID()).tsr")
        func isCoded(_ record: TensorRecord) -> Bool { record.encoding.rowsPerPanel > 1 }
        let writer = try WeightFileWriter(
            path: url.path, config: file.config, tokenizer: file.tokenizer,
            chatTemplate: file.chatTemplate,
            tensors: file.tensors.map {
                TensorSpec(
                    name: $0.name, rows: $0.rows, columns: $0.columns, encoding: $0.encoding,
                    storage: isCoded($0) ? .zstd : .plain)
            })
        for record in file.tensors {
            guard isCoded(record) else {
                try writer.append(file.bytes(of: record))
                continue
            }
            // The coded tensor's tiles may have other rows than those of the plain one.
            let coder = TileCoder(
                encoding: record.encoding, storage: .zstd, columns: record.columns)
            let panel = Matrix.panelBytes(
                try #require(Matrix.Encoding(rawValue: record.encoding.rawValue)),
                columns: record.columns)
            let bytes = file.bytes(of: record)
            let rows = TensorSpec(
                name: record.name, rows: record.rows, columns: record.columns,
                encoding: record.encoding, storage: .zstd
            ).tileRows
            let tile = rows / 16 * panel
            for start in stride(from: 0, to: bytes.byteCount, by: tile) {
                let end = min(start + tile, bytes.byteCount)
                let plain = bytes.extracting(start..<end).withUnsafeBytes { Array($0) }
                try writer.appendTile(coder.encode(plain))
            }
        }
        try writer.finish()
        return url
    }

    /// A model of the same shape whose matrices are tiles of trellises.
    private func trellisModel() throws -> URL {
        let file = try WeightFile(path: Self.model.path)
        let url = FileManager.default.temporaryDirectory.appending(path: "trellis-\(UUID()).tsr")
        let specs = file.tensors.map {
            $0.encoding.rowsPerPanel > 1
                ? TensorSpec(
                    name: $0.name, rows: $0.rows, columns: $0.columns, encoding: .int8,
                    storage: .trellis)
                : TensorSpec(
                    name: $0.name, rows: $0.rows, columns: $0.columns, encoding: $0.encoding)
        }
        let writer = try WeightFileWriter(
            path: url.path, config: file.config, tokenizer: file.tokenizer,
            chatTemplate: file.chatTemplate, tensors: specs)
        var state: UInt64 = 1
        func values(_ count: Int) -> [Float] {
            (0..<count).map { _ in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                return Float(Int32(truncatingIfNeeded: state >> 32)) / 0x1p34
            }
        }
        let trellis = Trellis(rate: 7, values: values(4096).map { $0 * 7 })
        for (record, spec) in zip(file.tensors, specs) {
            guard spec.storage == .trellis else {
                try writer.append(file.bytes(of: record))
                continue
            }
            for row in stride(from: 0, to: spec.rows, by: spec.tileRows) {
                let rows = min(spec.tileRows, spec.rows - row)
                try writer.appendTile(
                    trellis.encode(
                        values(rows * spec.columns), rows: rows, columns: spec.columns
                    ).tile)
            }
        }
        try writer.finish()
        return url
    }

    @Test(arguments: [0.0, 0.1])
    func tilesOfATrellisGiveTheSameStreamed(share: Double) throws {
        let url = try trellisModel()
        defer { try? FileManager.default.removeItem(at: url) }
        let file = try WeightFile(path: url.path)
        let resident = try TokenSequence(file, options: try options(nil, .direct))
        let streamed = try TokenSequence(
            file, options: try options(share, .direct, path: url.path))
        #expect(!streamed.model.residency.isResident)
        let expected = try logits(resident)
        #expect(expected.contains { $0 != 0 })
        #expect(try logits(streamed) == expected)
    }

    @Test(arguments: [0.0, 0.3, 0.7, 3.0])
    func codedTilesGiveTheSameWhereverTheyAreDecoded(share: Double) throws {
        let expected = try logits(
            try TokenSequence(
                try WeightFile(path: Self.model.path), options: try options(nil, .direct)))
        let url = try codedModel()
        defer { try? FileManager.default.removeItem(at: url) }
        let file = try WeightFile(path: url.path)
        let unlimited = try TokenSequence(file, options: try options(nil, .direct))
        #expect(!unlimited.model.residency.decodesAhead)
        #expect(try logits(unlimited) == expected)
        let limited = try TokenSequence(
            file, options: try options(share, .direct, path: url.path))
        let plan = limited.model.residency
        #expect(plan.totalBytes <= plan.budget.bytes)
        if share < 0.5 { #expect(!plan.isResident) }
        // Where there is room for all of it, decoded, no pass decodes.
        if share > 1 { #expect(plan.items.allSatisfy { $0.decodedTiles == $0.tiles.count }) }
        #expect(try logits(limited) == expected)
    }

    @Test func weightsThatAllStayedAreStreamedAfterALimitWasLowered() throws {
        let file = try WeightFile(path: Self.model.path)
        let expected = try logits(try TokenSequence(file, options: try options(nil, .direct)))
        let transformer = try TokenSequence(file, options: try options(nil, .direct))
        #expect(transformer.model.residency.isResident)
        let least = try options(0.3, .direct)
        try transformer.model.store.refit(to: try #require(least.memory))
        #expect(!transformer.model.residency.isResident)
        #expect(try logits(transformer) == expected)
        let streamed = transformer.model.residency.streamedBytes
        #expect(transformer.model.takeStreamCounters().bytes > 3 * streamed)
    }

    @Test(arguments: [InputMethod.direct, .mapped], [false, true])
    func aLoweredLimitChangesWhatStaysAndNothingElse(method: InputMethod, isCoded: Bool) throws {
        let url = isCoded ? try codedModel() : Self.model
        defer { if isCoded { try? FileManager.default.removeItem(at: url) } }
        let file = try WeightFile(path: url.path)
        let options = try options(0.6, method, path: url.path)
        let expected = try logits(try TokenSequence(file, options: options))
        let transformer = try TokenSequence(file, options: options)
        #expect(try logits(transformer) == expected)
        let before = transformer.model.residency
        let least = try self.options(0.1, method, path: url.path)
        try transformer.model.store.refit(to: try #require(least.memory))
        #expect(transformer.model.residency.hotBytes < before.hotBytes)
        #expect(!transformer.model.residency.decodesAhead)
        transformer.reset()
        #expect(transformer.model.takeStreamCounters().bytes > 3 * before.streamedBytes)
        #expect(try logits(transformer) == expected)
        #expect(
            transformer.model.takeStreamCounters().bytes > 3
                * transformer.model.residency.streamedBytes)
        #expect(throws: ResidencyError.self) {
            try transformer.model.store.refit(
                to: MemoryBudget(bytes: 1 << 20, source: .controlGroup))
        }
    }

    @Test func aReadErrorComesToWhoeverWaitsForTheTile() throws {
        let segments = (0..<6).map { Segment(tiles: $0..<$0 + 1, bytes: $0 * 100..<$0 * 100 + 100) }
        let stream = try TileStream(segments, reader: FailingReader(), slots: 4, threads: 2)
        defer { stream.stop() }
        var number = 0
        while number < 3 {  // what has been read before can still be used
            guard case .success(let count) = stream.wait(for: number, most: 1) else { break }
            number += count
            stream.release(below: number)
        }
        guard case .failure(let error) = stream.wait(for: 3, most: 1) else {
            Issue.record("an unreadable segment was given out")
            return
        }
        #expect(error.description.contains("Input/output error"))
    }

    @Test func aFileThatWasCutShortIsAnErrorThatSaysWhere() throws {
        let copy = FileManager.default.temporaryDirectory.appending(path: "cut-\(UUID()).tsr")
        try FileManager.default.copyItem(at: Self.model, to: copy)
        defer { try? FileManager.default.removeItem(at: copy) }
        let file = try WeightFile(path: copy.path)
        let record = try #require(file.tensors.last { $0.byteCount > 1 << 16 })
        let ranges = try #require(file.streamableTiles(of: record))
        let handle = try FileHandle(forWritingTo: copy)
        try handle.truncate(atOffset: UInt64(record.offset + 100))
        try handle.close()
        let segments = ranges.indices.map { Segment(tiles: $0..<$0 + 1, bytes: ranges[$0]) }
        for isDirect in [true, false] {
            let reader = try CopyingReader(
                file, direct: isDirect, slots: 4, slotBytes: (1 << 20) + 8192)
            let stream = try TileStream(segments, reader: reader, slots: 4, threads: 2)
            defer { stream.stop() }
            guard case .failure(let error) = stream.wait(for: 0, most: 1) else {
                Issue.record("bytes that are not there were read")
                continue
            }
            #expect(error.description.contains(copy.path))
            #expect(error.description.contains("cut short"))
        }
    }

    @Test func aStreamGivesEverySegmentInOrderRoundAfterRound() throws {
        let file = try WeightFile(path: Self.model.path)
        let ranges = file.tensors.compactMap { file.streamableTiles(of: $0) }.joined()
        let segments = ranges.map { Segment(tiles: 0..<1, bytes: $0) }
        let longest = segments.reduce(0) { max($0, $1.bytes.count) } + 8192
        let reader = try CopyingReader(file, direct: true, slots: 5, slotBytes: longest)
        let stream = try TileStream(segments, reader: reader, slots: 5, threads: 3)
        defer { stream.stop() }
        for round in 0..<3 {
            var index = 0
            while index < segments.count {
                if round == 1 && index == 3 { index = 20 }  // some are left out
                let number = stream.skip(to: index)
                #expect(number == round * segments.count + index)
                guard case .success(let count) = stream.wait(for: number, most: 3) else {
                    Issue.record("segment \(number)")
                    return
                }
                let used = min(count, segments.count - index)
                for step in 0..<used {
                    let bytes = segments[index + step].bytes
                    let address = unsafe stream.address(of: number + step)
                    let expected = unsafe file.unsafePointer(at: bytes.lowerBound)
                    #expect(unsafe memcmp(address, expected, bytes.count) == 0)
                }
                index += used
                stream.release(below: number + used)
            }
        }
    }
}

/// Gives empty memory. Reads from byte 300 on fail.
private final class FailingReader: TileReader, @unchecked Sendable {
    private let memory = UnsafeMutableRawPointer.allocate(byteCount: 400, alignment: 64)

    deinit { memory.deallocate() }

    func read(_ range: Range<Int>, slot: Int) -> Result<UnsafeRawPointer, ResidencyError> {
        range.upperBound > 300
            ? .failure(.unreadable(path: "model.tsr", reason: systemMessage(EIO)))
            : .success(UnsafeRawPointer(memory))
    }

    func release(_ range: Range<Int>, slot: Int) {}
}
