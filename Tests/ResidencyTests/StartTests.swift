import Foundation
import TesseraMachine
import Testing
import TesseraWeightFile

@testable import TesseraResidency
@testable import TesseraTransformer

/// Effects of starting a model on the page cache and on the mapping.
@Suite struct StartTests {
    /// The flags and resident bytes of a file's mapping in /proc/self/smaps.
    private func maps(of path: String) throws -> (flags: Set<String>, residentBytes: Int) {
        let text = try #require(SystemFile.text("/proc/self/smaps"))
        var (isHere, flags, resident) = (false, Set<String>(), 0)
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ").map(String.init)
            if words[0].contains("-") { isHere = line.hasSuffix(path) }
            guard isHere else { continue }
            if words[0] == "VmFlags:" { flags.formUnion(words.dropFirst()) }
            if words[0] == "Rss:" { resident += (Int(words[1]) ?? 0) << 10 }
        }
        try #require(!flags.isEmpty, "\(path) is not mapped")
        return (flags, resident)
    }

    /// Share of a file's pages that the page cache holds.
    private func cachedShare(of url: URL) throws -> Double {
        let handle = try FileHandle(forReadingFrom: url)
        let size = Int(try handle.seekToEnd())
        let map = mmap(nil, size, PROT_READ, MAP_SHARED, handle.fileDescriptor, 0)
        defer { munmap(map, size) }
        var pages = [UInt8](repeating: 0, count: (size + 4095) / 4096)
        try #require(mincore(map, size, &pages) == 0)
        return Double(pages.count { $0 & 1 == 1 }) / Double(pages.count)
    }

    /// A coded model, all of it on disk and in the page cache.
    private func codedModel() throws -> URL {
        let url = try StreamTests().codedModel()
        let handle = try FileHandle(forUpdating: url)
        try handle.synchronize()
        _ = try Data(contentsOf: url)
        return url
    }

    @Test func aCodedModelThatFitsStaysInThePageCache() throws {
        let url = try codedModel()
        defer { try? FileManager.default.removeItem(at: url) }
        let options = try StreamTests().options(3, .auto, path: url.path)
        let transformer = try TokenSequence(try WeightFile(path: url.path), options: options)
        #expect(transformer.model.residency.isResident && transformer.model.residency.decodesAhead)
        #expect(try cachedShare(of: url) > 0.9)
        #expect(!(try maps(of: url.path).flags.contains("rr")))
    }

    @Test func onlyStreamingTurnsReadingAheadOff() throws {
        let url = try codedModel()
        defer { try? FileManager.default.removeItem(at: url) }
        let file = try WeightFile(path: url.path)
        let streamed = try TokenSequence(
            file, options: try StreamTests().options(0.2, .auto, path: url.path))
        #expect(!streamed.model.residency.isResident)
        #expect(try maps(of: url.path).flags.contains("rr"))
        withExtendedLifetime(streamed) {}
    }

    @Test func aPaceIsMeasuredOnce() throws {
        let kept = KeptPace()
        var options = try StreamTests().options(0.2, .direct)
        options.paces = kept.memory
        let file = try WeightFile(path: StreamTests.model.path)
        let first = try TokenSequence(file, options: options)
        #expect(kept.count == 1 && kept.pace?.method == .direct)
        #expect(first.model.store.pace == kept.pace)
        let told = ReadingPace(method: .buffered, bytesPerSecond: 12345)
        kept.pace = told
        let second = try TokenSequence(file, options: options)
        #expect(kept.count == 1 && second.model.store.pace == told)
        #expect(second.model.inputMethod == .buffered)
    }

    @Test func aDiskThatCannotBeReadHasNoPace() throws {
        let copy = try ModelCopy()
        let file = try WeightFile(path: copy.url.path)
        let options = try StreamTests().options(0.2, .direct, path: copy.url.path)
        try copy.cut(to: file.metadataBytes)
        #expect {
            _ = try Model.measuredPlan(file, options: options)
        } throws: {
            guard case .residency(.unreadable(copy.url.path, let reason))? = $0 as? TransformerError
            else { return false }
            return reason.contains("cut short")
        }
    }

    @Test func rowsThatAreLookedUpDoNotPileUpInMemory() throws {
        let copy = try ModelCopy()
        let file = try WeightFile(path: copy.url.path)
        let transformer = try TokenSequence(
            file, options: try StreamTests().options(0, .direct, path: copy.url.path))
        for start in stride(from: 0, to: 600, by: 32) {
            try transformer.forward(
                committed: (start..<start + 32).map { Int32($0) }, logitRows: [])
        }
        let held = transformer.model.residency.heldBytes + file.metadataBytes
        let resident = try maps(of: copy.url.path).residentBytes
        #expect(resident <= held + (64 << 10), "\(resident) of \(held) bytes")
    }
}

/// A pace as a cache file keeps it.
private final class KeptPace: @unchecked Sendable {
    var pace: ReadingPace?
    var count = 0
    var memory: PaceMemory {
        PaceMemory(
            recall: { self.pace },
            remember: {
                self.pace = $0
                self.count += 1
            })
    }
}
