import Foundation
import Kernels
import Testing
import Transformer
import WeightFile

@testable import Residency

/// The model that comes with the program, with less memory than its weights.
@Suite struct StreamTests {
    static let model = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "../../Sources/tessera/Resources/default.tsr").standardizedFileURL

    private func options(_ share: Double?, _ method: InputMethod) throws -> Transformer.Options {
        var options = Transformer.Options()
        options.threads = 2
        options.contextLength = 256
        options.batchCapacity = 32
        options.logitCapacity = 16
        options.inputMethod = method
        guard let share else { return options }
        let plan = try Transformer.plan(try WeightFile(path: Self.model.path), options: options)
        let free = Int(share * Double(plan.weightBytes)) + 650_000
        options.memory = MemoryBudget(bytes: plan.needs.total + free, source: .option)
        return options
    }

    /// Logits of some passes: with and without logits, long and short, some twice.
    private func logits(_ transformer: Transformer) -> [Float] {
        var values: [Float] = []
        func keep(_ rows: Int) {
            for row in 0..<rows {
                for column in 0..<transformer.config.vocabularySize {
                    values.append(transformer.logits[row * transformer.logitStride + column])
                }
            }
        }
        transformer.forward(committed: (0..<70).map { Int32($0 * 7 % 600) }, logitRows: [])
        transformer.forward(committed: [5], logitRows: [0])
        keep(1)
        transformer.forward(committed: [9, 8], open: [3, 3, 3, 3], logitRows: [1, 2, 3, 4, 5])
        keep(5)
        transformer.forward(committed: [4, 4], logitRows: [])
        transformer.forward(committed: [], open: [3], logitRows: [0])
        keep(1)
        return values
    }

    @Test(arguments: [0.0, 0.2, 0.5], [InputMethod.auto, .direct, .buffered, .mapped])
    func streamedWeightsGiveTheLogitsOfResidentOnesBitForBit(
        share: Double, method: InputMethod
    ) throws {
        let file = try WeightFile(path: Self.model.path)
        let resident = try Transformer(file, options: try options(nil, method))
        #expect(resident.residency.isResident && resident.inputMethod == nil)
        let streamed = try Transformer(file, options: try options(share, method))
        #expect(!streamed.residency.isResident)
        #expect(streamed.residency.hitRate < 0.95)
        #expect(logits(streamed) == logits(resident))
        let counters = streamed.takeStreamCounters()
        // Eight passes, one of which is cut in three; five do without the head.
        #expect(counters.bytes > 3 * streamed.residency.streamedBytes)
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
