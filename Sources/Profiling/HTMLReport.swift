internal import TesseraKernels
internal import TesseraReporting
internal import TesseraTransformer

extension ProfileReport {
    /// One page with everything in it: nothing is loaded from elsewhere.
    public var html: String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8"/>
        <meta name="viewport" content="width=device-width, initial-scale=1"/>
        <title>Profile of \(model.name.escapedForHTML)</title>
        <style>
        \(Self.styleSheet)</style>
        </head>
        <body>
        <h1>\(model.name.escapedForHTML)</h1>
        \(summaryHTML)\(warningHTML)\(passHTML)\(histogramHTML)\(operationHTML)\(timelineHTML)\
        <p class="note">Made by tessera profile. Medians; nothing on this page is extrapolated. \
        The limits are the best of two measurements before and after the passes; a share above 100% means that a cache held part \
        of the weights, or that the machine was busier while its limits were measured.</p>
        </body>
        </html>

        """
    }

    /// A picture of T(m) above what the limits allow, at the first context; an SVG file.
    public var plot: String {
        Charts(report: self).roofline(context: contexts[0], styleSheet: Self.styleSheet)
    }

    private var contexts: [Int] { Set(passes.map(\.samples.context)).sorted() }

    private var summaryHTML: String {
        let memory = setup.memory
        let facts: [(String, String)] = [
            ("weights", Format.bytes(model.weightBytes)),
            ("made", setup.date),
            ("by", setup.program),
            ("machine", setup.host),
            ("processor", setup.processor),
            ("kernels", "\(setup.isa), \(setup.threads) threads"),
            ("loading", Format.seconds(setup.loadSeconds)),
            ("first token after", Format.seconds(setup.firstTokenSeconds)),
            ("reading limit", Format.fixed(limits.readBytesPerSecond / 1e9, 1) + " GB/s"),
            ("multiplying limit", Format.fixed(limits.int8MacsPerSecond / 1e9, 0) + " G MAC/s"),
            ("peak memory", Format.bytes(setup.peakRSS)),
            ("model resident", Format.bytes(memory.model)),
            (
                "anonymous memory",
                "\(Format.bytes(memory.anonymous)) (cache \(Format.bytes(model.cacheBytes)), "
                    + "scratch \(Format.bytes(model.scratchBytes)))"
            ),
            ("read from disk", Format.bytes(setup.load.diskBytes)),
            (
                "page faults",
                "\(setup.load.minorFaults + setup.load.majorFaults), "
                    + "\(setup.load.majorFaults) waited for the disk"
            ),
            (
                "switches",
                "\(setup.load.voluntarySwitches) waits, "
                    + "\(setup.load.involuntarySwitches) preemptions"
            ),
            (
                "passes",
                "\(setup.options.passes), "
                    + "\(setup.options.warmUp) untimed before each size"
            ),
        ]
        let items = facts.map { "<dt>\($0.escapedForHTML)</dt><dd>\($1.escapedForHTML)</dd>\n" }
        return "<dl>\n\(items.joined())</dl>\n"
    }

    private var warningHTML: String {
        guard !warnings.isEmpty else { return "" }
        let items = warnings.map { "<li>\($0.escapedForHTML)</li>\n" }
        return "<ul class=\"warnings\">\n\(items.joined())</ul>\n"
    }

    private var passHTML: String {
        let charts = Charts(report: self)
        var html = "<h2>Time of a pass</h2>\n"
        for context in contexts {
            html += "<figure>\(charts.roofline(context: context))<figcaption>"
            html += "Context \(context). Line: medians, bars from the fastest pass to the 90th "
            html += "percentile. Dashed: the shortest time that reading and multiplying allow "
            html += "together; thin: each alone.</figcaption></figure>\n"
        }
        let headings = [
            "context", "positions", "passes", "ms", "min", "p90", "p99", "positions/s",
            "T(m)/T(1)", "GB/s", "G MAC/s", "% of limit", "limit",
        ]
        let rows = passes.map { pass in
            let times = pass.samples.seconds
            let milliseconds = [
                times.median, times.minimum, times.percentile(90), times.percentile(99),
            ].map { Format.fixed($0 * 1e3, 2) }
            return ["\(pass.samples.context)", pass.samples.size, "\(times.count)"]
                + milliseconds + [
                    Format.fixed(pass.tokensPerSecond, 1),
                    relativeToOne(pass).map { Format.fixed($0, 2) } ?? "",
                    Format.fixed(pass.readBytesPerSecond / 1e9, 1),
                    Format.fixed(pass.macsPerSecond / 1e9, 1),
                    Format.fixed(pass.shareOfRoofline * 100, 0), pass.bound.rawValue,
                ]
        }
        return html + Self.table(headings, rows)
    }

    private var histogramHTML: String {
        let charts = Charts(report: self)
        return "<h2>Latency</h2>\n<div class=\"row\">\n"
            + passes.map { charts.histogram($0) }.joined() + "</div>\n"
    }

    private var operationHTML: String {
        let charts = Charts(report: self)
        let recorded = passes.filter { $0.samples.operations != nil }
        guard !recorded.isEmpty else { return "" }
        var html = "<h2>Where the time goes</h2>\n<p class=\"key\">"
        for (index, group) in Charts.groups.enumerated()
        where recorded.contains(where: { pass in
            group.operations.contains { pass.samples.operations?.total($0) != nil }
        }) {
            html += "<span class=\"box back\(index)\"></span> \(group.name.escapedForHTML) "
        }
        html += "</p>\n"
        for (index, pass) in recorded.enumerated() {
            let title = pass.samples.title
            let recording = Format.fixed((pass.samples.recordingShare ?? 0) * 100, 2)
            html += index == 0 ? "<details open=\"open\">" : "<details>"
            html += "<summary>\(title)</summary>\n\(charts.layers(pass))"
            html += operationTable(pass)
            html += "<p class=\"note\">Recording the steps took \(recording)% of these passes.</p>"
            html += "</details>\n"
        }
        return html
    }

    private func operationTable(_ pass: PassMeasure) -> String {
        Self.table(
            ["step", "ms", "% of pass", "MB read", "M MAC", "% of limit"],
            pass.operations.map { measure in
                [
                    measure.operation.title, Format.fixed(measure.seconds.median * 1e3, 3),
                    Format.fixed(measure.share * 100, 1),
                    measure.work.map { Format.fixed($0.bytes / 1e6, 1) } ?? "",
                    measure.work.map { Format.fixed($0.macs / 1e6, 1) } ?? "",
                    measure.shareOfLimit.map { Format.fixed($0 * 100, 0) } ?? "",
                ]
            })
    }

    private var timelineHTML: String {
        let charts = Charts(report: self)
        let pictures = [
            charts.timeline("resident MB") { Double($0.residentBytes) / 1e6 },
            charts.timeline("frequency in GHz") { $0.load.hertz.map { $0 / 1e9 } },
            charts.timeline("MB from disk") { point in
                timeline.first.map { Double(point.load.diskBytes - $0.load.diskBytes) / 1e6 }
            },
            charts.timeline("degrees Celsius") { $0.load.celsius },
            charts.timeline("watts") { watts(until: $0) },
            charts.timeline("load average") { $0.load.loadAverage },
        ].filter { !$0.isEmpty }
        guard !pictures.isEmpty else { return "" }
        return "<h2>The machine over time</h2>\n<div class=\"row\">\n\(pictures.joined())</div>\n"
    }

    /// Mean power since the previous point, or the value of a monitor where energy is not counted.
    private func watts(until point: TimelinePoint) -> Double? {
        let before = timeline.last { $0.time < point.time }
        guard let before, let joules = point.load.joules(since: before.load) else {
            return point.load.watts
        }
        return joules / (point.seconds - before.seconds)
    }

    private static func table(_ headings: [String], _ rows: [[String]]) -> String {
        func row(_ cells: [String], _ tag: String) -> String {
            "<tr>" + cells.map { "<\(tag)>\($0.escapedForHTML)</\(tag)>" }.joined() + "</tr>\n"
        }
        return "<table>\n<thead>\(row(headings, "th"))</thead>\n<tbody>\n"
            + rows.map { row($0, "td") }.joined() + "</tbody>\n</table>\n"
    }

    private static let styleSheet = """
        :root { --ink: #222; --soft: #777; --grid: #e4e4e4; --paper: #fff; --main: #0072b2; \
        --warm: #d55e00; }
        @media (prefers-color-scheme: dark) { :root { --ink: #ddd; --soft: #999; --grid: #333; \
        --paper: #161616; --main: #56b4e9; --warm: #e69f00; } }
        body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); \
        max-width: 1000px; margin: 2em auto; padding: 0 1em; }
        h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
        dl { display: grid; grid-template-columns: max-content auto; gap: 0 1.2em; }
        dt { color: var(--soft); } dd { margin: 0; }
        table { border-collapse: collapse; font-variant-numeric: tabular-nums; display: block; \
        overflow-x: auto; font-size: .87em; }
        th, td { text-align: right; padding: 2px 8px; border-bottom: 1px solid var(--grid); }
        th:first-child, td:first-child { text-align: left; } th { color: var(--soft); }
        figure { margin: 0 0 1em; } figcaption, .note { color: var(--soft); font-size: .87em; }
        .warnings { border-left: 4px solid var(--warm); padding-left: 2em; }
        .row { display: flex; flex-wrap: wrap; gap: 12px; }
        summary { cursor: pointer; margin: .6em 0; }
        svg { max-width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--soft); }
        svg text.name { fill: var(--ink); }
        svg text.measuredName { fill: var(--main); } svg text.floorName { fill: var(--warm); }
        svg { background: var(--paper); font-family: system-ui, sans-serif; }
        .axis { stroke: var(--soft); } .grid { stroke: var(--grid); }
        .measured, .floor, .thin { fill: none; stroke: var(--main); stroke-width: 2; }
        .floor { stroke: var(--warm); stroke-dasharray: 6 4; }
        .thin { stroke: var(--warm); stroke-width: .7; }
        .whisker { stroke: var(--warm); stroke-width: 1.5; } .dot, .bar { fill: var(--main); }
        .box { display: inline-block; width: .8em; height: .8em; margin-left: 1em; }
        .group0 { fill: #0072b2; } .group1 { fill: #d55e00; } .group2 { fill: #56b4e9; }
        .group3 { fill: #009e73; } .group4 { fill: #e69f00; } .group5 { fill: #999; }
        .group6 { fill: #cc79a7; } .group7 { fill: #f0e442; }
        .back0 { background: #0072b2; } .back1 { background: #d55e00; } \
        .back2 { background: #56b4e9; }
        .back3 { background: #009e73; } .back4 { background: #e69f00; } .back5 { background: #999; }
        .back6 { background: #cc79a7; } .back7 { background: #f0e442; }

        """
}
