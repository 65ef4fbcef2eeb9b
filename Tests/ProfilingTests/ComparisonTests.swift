import Foundation
import TesseraKernels
import Testing

@testable import TesseraProfiling

@Suite("Comparison of two profiles")
struct ComparisonTests {
    /// Ten times around `milliseconds`, spread evenly by a share to both sides.
    private func times(_ milliseconds: Double, spread: Double = 0.01) -> Distribution {
        Distribution((0..<11).map { milliseconds * 1e-3 * (1 + spread * Double($0 - 5) / 5) })
    }

    private func profile(_ times: [(Int, Distribution)]) -> SavedProfile {
        var profile = SavedProfile()
        profile.peakRSS = 1000
        profile.passes = times.map { .init(positions: $0.0, context: 0, seconds: $0.1) }
        return profile
    }

    private func verdicts(_ before: Distribution, _ after: Distribution) -> [Comparison.Verdict] {
        Comparison(profile([(1, before)]), profile([(1, after)])).rows.map(\.verdict)
    }

    @Test("What is surely slower is a regression, surely faster an improvement, alike the same")
    func clear() {
        #expect(verdicts(times(10), times(12)) == [.regression])
        #expect(verdicts(times(10), times(8)) == [.improvement])
        #expect(verdicts(times(10), times(10)) == [.same])
    }

    @Test("Times that spread too much prove nothing")
    func noise() {
        #expect(verdicts(times(10, spread: 0.5), times(11, spread: 0.5)) == [.unclear])
        #expect(verdicts(Distribution([0.01, 0.02]), Distribution([0.015, 0.016])) == [.unclear])
    }

    @Test("The interval holds the ratio, and is the same every time")
    func interval() {
        let comparison = Comparison(profile([(1, times(10))]), profile([(1, times(11))]))
        let row = comparison.rows[0]
        #expect(abs(row.ratio - 1.1) < 1e-9 && row.interval.contains(row.ratio))
        #expect(row.interval.upperBound - row.interval.lowerBound < 0.04)
        let again = Comparison(profile([(1, times(10))]), profile([(1, times(11))]))
        #expect(again.rows == comparison.rows)
    }

    @Test("One regression among improvements counts; the tolerance decides what one is")
    func regression() {
        let before = profile([(1, times(10)), (8, times(20)), (16, times(5))])
        let after = profile([(1, times(5)), (8, times(22))])
        let strict = Comparison(before, after)
        #expect(strict.hasRegression && strict.rows.map(\.verdict) == [.improvement, .regression])
        #expect(!Comparison(before, after, tolerance: 0.2).hasRegression)
        #expect(strict.remarks.contains { $0.hasPrefix("1 size of pass missing") })
        #expect(!Comparison(before, before).hasRegression)
    }

    @Test("More memory is a regression, and other setups are remarked on")
    func memory() {
        let before = profile([(1, times(10))])
        var after = before
        after.peakRSS = 1100
        after.isa = "scalar"
        after.limits.readBytesPerSecond = 5e9
        #expect(Comparison(before, after).hasRegression)
        #expect(Comparison(before, after).remarks.count == 1)
        var slower = before
        slower.limits.readBytesPerSecond = 10e9
        #expect(Comparison(slower, after).remarks.contains { $0.contains("50% slower") })
    }

    @Test("A printed profile is read back as it was")
    func roundTrip() throws {
        let report = knownReport()
        let path = try save(report.json.text)
        defer { try? FileManager.default.removeItem(atPath: path) }
        let saved = try SavedProfile(path: path)
        #expect(saved.model == report.model.name && saved.threads == 2 && saved.isa == "scalar")
        #expect(saved.limits == report.limits)
        #expect(saved.passes.map(\.positions) == [1, 4])
        for (old, new) in zip(report.passes, saved.passes) {
            #expect(abs(new.seconds.median / old.samples.seconds.median - 1) < 1e-5)
        }
        let comparison = Comparison(saved, saved, tolerance: 0.5)
        #expect(!comparison.hasRegression && comparison.rows.map(\.verdict) == [.same, .same])
        #expect(comparison.text().contains("no regression"))
        let parsed = try JSONSerialization.jsonObject(with: Data(comparison.json.text.utf8))
        #expect((parsed as? [String: Any])?["has_regression"] as? Bool == false)
    }

    @Test(
        "Files that are no profiles are refused",
        arguments: ["", "{", "[]", "{\"passes\": [{}]}", "{\"passes\": 3}"])
    func refused(_ text: String) throws {
        let path = try save(text)
        defer { try? FileManager.default.removeItem(atPath: path) }
        #expect(throws: ProfilingError.self) { try SavedProfile(path: path) }
    }

    private func save(_ text: String) throws -> String {
        let path = FileManager.default.temporaryDirectory
            .appending(path: "tessera-saved-\(UUID().uuidString).json").path
        try Data(text.utf8).write(to: URL(filePath: path))
        return path
    }
}
