import TesseraDecoding
import Foundation
import TesseraKernels
import Testing
import TesseraWeightFile

/// Files of logits.
struct SavedFileTests {
    private func withFile(_ body: (String) throws -> Void) throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString)")
            .path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try body(path)
    }

    @Test func logitsComeBack() throws {
        try withFile { path in
            let rows: [[Float]] = [[1, -2, 0.5], [3, 4, -.infinity]]
            let place = try OutputPlace(path, takesStreams: false)
            let writer = try LogitWriter(place, ids: [7, 1, 2], vocabulary: 3)
            for row in rows {
                let logits = Buffer<Float>(count: 3)
                for index in 0..<3 { logits[index] = row[index] }
                try writer.append(logits, 0..<3)
            }
            try writer.finish()
            let reader = try LogitReader(path: path)
            #expect(reader.ids == [7, 1, 2] && reader.vocabulary == 3)
            for row in rows {
                var read = [Float](repeating: 0, count: 3)
                try reader.read(into: &read)
                #expect(read == row)
            }
        }
    }

    /// Sizes of positions and vocabulary that the file has not, and that no file could have.
    @Test(arguments: [
        (1, 1), (UInt32.max, UInt32.max), (1 << 31, 1 << 31), (1 << 30, 1), (0, 4), (1, 0),
    ])
    func logitsOfOtherSizesAreRefused(positions: UInt32, vocabulary: UInt32) throws {
        try withFile { path in
            let fields = [1, positions, vocabulary].flatMap { field in
                (0..<4).map { UInt8(truncatingIfNeeded: field >> (8 * UInt32($0))) }
            }
            try Data("TSRLOGIT".utf8 + fields + [UInt8](repeating: 0, count: 16)).write(
                to: URL(filePath: path))
            let error = #expect(throws: LogitFileError.self) { _ = try LogitReader(path: path) }
            guard case .damaged = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            // A server that refuses many files does not run out of descriptors.
            let open = try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")
            let names = open.map {
                try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")
            }
            #expect(!names.contains(path))
        }
    }
}
