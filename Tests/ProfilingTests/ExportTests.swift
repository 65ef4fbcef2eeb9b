import Foundation
import FoundationXML
import TesseraKernels
import Testing
import TesseraTransformer

@testable import TesseraProfiling

/// Notes whether a document is well formed, and what elements it has.
private final class Elements: NSObject, XMLParserDelegate {
    var counts: [String: Int] = [:]
    func parser(
        _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
        qualifiedName: String?, attributes: [String: String]
    ) { counts[name, default: 0] += 1 }
}

/// A report with known numbers: passes become slower, or faster.
func knownReport(recorded: Bool = true, faster: Bool = false) -> ProfileReport {
    var model = ProfileReport.ModelDescription()
    model.name = "a \"<b>\", & c"
    model.work.layerBytes = 1_000_000
    model.work.layerWeights = 2_000_000
    var setup = ProfileReport.RunDescription()
    setup.batchCapacity = 128
    setup.threads = 2
    setup.isa = "scalar"
    var run = ProfileRun()
    for positions in [1, 4] {
        let seconds = (0..<20).map {
            1e-3 * Double(positions) + 1e-5 * Double(faster ? 19 - $0 : $0)
        }
        var samples = PassSamples(
            positions: positions, context: 0, seconds: Distribution(seconds))
        samples.starts = (0..<20).map { 5_000_000 + UInt64($0) * 10_000_000 }
        if recorded {
            let steps: [PassStep] = [
                PassStep(operation: .embed, layer: 0, start: 6_000_000, end: 6_100_000),
                PassStep(operation: .attentionNorm, layer: 0, start: 6_100_000, end: 6_200_000),
                PassStep(operation: .down, layer: 0, start: 6_200_000, end: 6_500_000),
                PassStep(operation: .attentionNorm, layer: 1, start: 6_500_000, end: 6_600_000),
                PassStep(operation: .down, layer: 1, start: 6_600_000, end: 6_900_000),
                PassStep(operation: .head, layer: 0, start: 6_900_000, end: 7_000_000),
            ]
            var times = OperationTimes(layerCount: 2)
            times.append(steps)
            samples.operations = times
            samples.steps = steps
            samples.recordedSeconds = Distribution([1e-3])
        }
        run.passes.append(samples)
    }
    run.timeline = [0, 1, 2].map {
        TimelinePoint(
            time: 1_000_000 + $0 * 1_000_000_000, seconds: Double($0), load: SystemLoad(),
            residentBytes: 1 << 20)
    }
    let limits = MachineLimits(readBytesPerSecond: 2e9, int8MacsPerSecond: 8e9)
    return ProfileReport(model: model, setup: setup, limits: limits, run: run)
}

@Test("A machine that was not steady is told of, whichever way it went")
func drift() {
    func isWarned(_ start: String, _ report: ProfileReport) -> Bool {
        report.warnings.contains { $0.hasPrefix(start) }
    }
    let (slower, faster) = (knownReport(), knownReport(faster: true))
    func isDrifting(_ direction: String, _ report: ProfileReport) -> Bool {
        report.passes.contains {
            isWarned("passes over \($0.samples.title) became \(direction)", report)
        }
    }
    #expect(isDrifting("slower: the last quarter took 15% longer", slower))
    #expect(isDrifting("faster: the last quarter took 13% less time", faster))
    #expect(!isDrifting("faster", slower) && !isDrifting("slower", faster))
}

@Test("Little memory read is warned of only where a cache could hold it")
func caches() {
    var report = knownReport()
    func warnings() -> [String] { report.warnings.filter { $0.contains("largest cache") } }
    (report.setup.limitReadBytes, report.setup.cacheBytes) = (128 << 20, 64 << 20)
    #expect(warnings().isEmpty)
    report.setup.cacheBytes = 300 << 20
    #expect(warnings().count == 1 && warnings()[0].contains("315 MB"))
}

@Test("The page says when, where and by what it was made")
func origin() {
    var report = knownReport()
    report.setup.date = "2026-11-30T02:09:16Z"
    report.setup.host = "quick-host"
    report.setup.program = "tessera 9.8.7"
    for text in [report.setup.date, report.setup.host, report.setup.program] {
        #expect(report.html.contains(text) && report.json.text.contains(text))
    }
}

@Test("Dates are those of UTC")
func dates() {
    #expect(Timestamp.text(0) == "1970-01-01T00:00:00Z")
    #expect(Timestamp.text(1_796_004_556) == "2026-11-30T02:09:16Z")
}

@Suite("Exports of a profile")
struct ExportTests {
    @Test("The page is well formed, holds a picture of each kind, and loads nothing")
    func page() {
        let report = knownReport()
        let parser = XMLParser(data: Data(report.html.utf8))
        let elements = Elements()
        parser.delegate = elements
        #expect(parser.parse(), "\(parser.parserError?.localizedDescription ?? "")")
        // One roofline, two histograms, two layer charts, memory, disk and load over time.
        #expect(elements.counts["svg"] == 8)
        #expect(elements.counts["details"] == 2)
        #expect(!report.html.contains("http") && !report.html.contains("<script"))
        #expect(report.html.contains("a &quot;&lt;b&gt;&quot;, &amp; c"))
        let plain = knownReport(recorded: false).html
        #expect(XMLParser(data: Data(plain.utf8)).parse() && !plain.contains("<details"))
    }

    @Test("The table has a row per pass, step and layer, all of the same width")
    func csv() {
        let lines = knownReport().csv.split(separator: "\n")
        // Per pass: itself, four steps, two layers of two of them.
        #expect(lines.count == 1 + 2 * (1 + 4 + 4))
        let name = "\"a \"\"<b>\"\", & c\""
        #expect(lines.dropFirst().allSatisfy { $0.hasPrefix(name + ",scalar,2,causal,last,0,") })
        for line in lines.dropFirst() {
            let cells = line.dropFirst(name.count).split(
                separator: ",", omittingEmptySubsequences: false)
            #expect(cells.count == lines[0].split(separator: ",").count)
        }
    }

    @Test("The trace holds every pass, and the layers and steps of the last, inside each other")
    func trace() throws {
        let parsed = try JSONSerialization.jsonObject(with: Data(knownReport().trace.text.utf8))
        let object = try #require(parsed as? [String: Any])
        let events = try #require(object["traceEvents"] as? [[String: Any]])
        func spans(_ category: String, _ thread: Int) -> [(start: Double, end: Double)] {
            events.filter { $0["cat"] as? String == category && $0["tid"] as? Int == thread }
                .compactMap { event in
                    guard let start = event["ts"] as? Double, let length = event["dur"] as? Double
                    else { return nil }
                    return (start, start + length)
                }
        }
        #expect(spans("pass", 1).count == 40)
        #expect(spans("pass", 2).count == 2)
        #expect(spans("step", 2).count == 12)
        let layers = spans("layer", 2)
        #expect(layers.count == 4)
        // The first layer begins after the embedding; times count from the first point.
        #expect(abs(layers[0].start - 5100) < 1e-6 && abs(layers[0].end - 5500) < 1e-6)
        #expect(spans("pass", 1).allSatisfy { $0.start >= 0 && $0.end > $0.start })
        #expect(events.filter { $0["ph"] as? String == "C" }.count == 6)
    }

    @Test("Ticks of an axis are round, inside it, and in order", arguments: [false, true])
    func ticks(_ isLogarithmic: Bool) {
        for values in [[0.31, 7.7], [9.0, 1234.5], [5.0, 5.0], [0.002, 0.0021], [3, 4]] {
            let axis = Axis(values, isLogarithmic: isLogarithmic, from: 10, to: 110)
            #expect(axis.ticks.allSatisfy { $0 >= axis.lower && $0 <= axis.upper })
            #expect(axis.ticks == axis.ticks.sorted())
            #expect(abs(axis.place(axis.lower) - 10) < 1e-9)
            #expect(abs(axis.place(axis.upper) - 110) < 1e-9)
            #expect(axis.ticks.count >= 2)
        }
        #expect(Axis.label(0.5) == "0.5" && Axis.label(20) == "20")
    }
}
