internal import TesseraKernels
internal import TesseraReporting
internal import TesseraTransformer

/// Pictures of a profile.
struct Charts {
    let report: ProfileReport
    private static let width = 640.0
    private static let height = 320.0
    private static let left = 62.0
    private static let bottom = 40.0
    private static let top = 24.0

    /// Room for a chart and its axes.
    private struct Frame {
        var drawing: Drawing
        var x: Axis
        var y: Axis
    }

    /// Axes with their names; marks on x only where given.
    private func frame(
        _ x: [Double], _ y: [Double], names: (x: String, y: String), logarithmic: Bool = false,
        marks: [Double]? = nil, width: Double = Self.width, height: Double = Self.height
    ) -> Frame {
        var drawing = Drawing(width: width, height: height)
        let base = height - Self.bottom
        let xAxis = Axis(x, isLogarithmic: logarithmic, from: Self.left, to: width - 14)
        let yAxis = Axis(y, isLogarithmic: logarithmic, from: base, to: Self.top)
        for tick in yAxis.ticks {
            let place = yAxis.place(tick)
            drawing.line(Self.left, place, width - 14, place, style: "grid")
            drawing.text(Axis.label(tick), Self.left - 6, place + 4, anchor: .end)
        }
        for tick in marks ?? xAxis.ticks {
            let place = xAxis.place(tick)
            drawing.line(place, base, place, base + 4)
            drawing.text(Axis.label(tick), place, base + 17, anchor: .middle)
        }
        drawing.line(Self.left, base, width - 14, base)
        drawing.line(Self.left, Self.top, Self.left, base)
        drawing.text(names.x, width - 14, height - 6, anchor: .end, style: "name")
        drawing.text(names.y, 4, 11, style: "name")
        return Frame(drawing: drawing, x: xAxis, y: yAxis)
    }

    /// T(m) with its spread, above what the limits allow.
    ///
    /// - Parameter styleSheet: The style sheet of a picture that stands alone.
    func roofline(context: Int, styleSheet: String? = nil) -> String {
        let passes = report.passes.filter { $0.samples.context == context }
            .sorted { $0.samples.positions < $1.samples.positions }
        let sizes = passes.map { Double($0.samples.positions) }
        let roofline = Roofline(report.limits)
        let times = passes.flatMap { pass in
            [
                pass.samples.seconds.minimum, pass.samples.seconds.percentile(90),
                roofline.seconds(pass.work),
            ].map { $0 * 1e3 }
        }
        var frame = frame(
            sizes, times, names: ("positions per pass", "milliseconds"), logarithmic: true,
            marks: sizes)
        let x = frame.x
        let y = frame.y
        func curve(_ style: String, _ value: (PassMeasure) -> Double) {
            let points = passes.filter { value($0) * 1e3 >= y.lower }.map {
                (x: x.place(Double($0.samples.positions)), y: y.place(value($0) * 1e3))
            }
            frame.drawing.curve(points, style: style)
        }
        curve("thin") { roofline.readSeconds($0.work) }
        curve("thin") { roofline.multiplySeconds($0.work) }
        curve("floor") { roofline.seconds($0.work) }
        curve("measured") { $0.samples.seconds.median }
        if let last = passes.last {
            let right = x.place(Double(last.samples.positions)) - 6
            frame.drawing.text(
                "measured", right, y.place(last.samples.seconds.median * 1e3) - 10, anchor: .end,
                style: "measuredName")
            frame.drawing.text(
                "limit: \(last.bound.rawValue)", right, y.place(last.floorSeconds * 1e3) - 7,
                anchor: .end, style: "floorName")
        }
        for pass in passes {
            let seconds = pass.samples.seconds
            let place = x.place(Double(pass.samples.positions))
            frame.drawing.line(
                place, y.place(seconds.minimum * 1e3), place,
                y.place(seconds.percentile(90) * 1e3), style: "whisker")
            frame.drawing.dot(
                place, y.place(seconds.median * 1e3), style: "dot",
                title: "\(pass.samples.positions) positions: \(milliseconds(seconds.median)) ms, "
                    + "\(Format.fixed(pass.shareOfRoofline * 100, 0))% of the limit")
        }
        return frame.drawing.svg(
            label: "Time of a pass by its positions at context \(context)",
            styleSheet: styleSheet)
    }

    /// A histogram of the times of a pass.
    func histogram(_ pass: PassMeasure) -> String {
        let seconds = pass.samples.seconds
        let bins = seconds.histogram(binCount: min(24, max(5, seconds.count / 2)))
        // A little room on both sides, so that one narrow spike is not stretched over the width.
        let width = max(bins.width * 1e3, seconds.median * 1e-3)
        let start = bins.lower * 1e3
        let end = start + width * Double(bins.counts.count)
        let peak = Double(bins.counts.max() ?? 1)
        var drawing = Drawing(width: 300, height: 150)
        let scale = (from: 8.0, to: 292.0)
        func x(_ value: Double) -> Double {
            scale.from + (value - start) / (end - start) * (scale.to - scale.from)
        }
        for (index, count) in bins.counts.enumerated() where count > 0 {
            let height = 92 * Double(count) / peak
            let left = start + Double(index) * width
            drawing.rectangle(
                x(left), 118 - height, max(1, x(left + width) - x(left) - 1), height, style: "bar",
                title: "\(count) passes of \(Axis.label(rounded(left)))"
                    + " to \(Axis.label(rounded(left + width))) ms")
        }
        drawing.line(scale.from, 118, scale.to, 118)
        let median = x(seconds.median * 1e3)
        drawing.line(median, 22, median, 118, style: "whisker")
        drawing.text(milliseconds(start * 1e-3), scale.from, 134)
        drawing.text(milliseconds(end * 1e-3) + " ms", scale.to, 134, anchor: .end)
        drawing.text(
            pass.samples.title + ", \(seconds.count) passes", 8, 13, style: "name")
        return drawing.svg(label: "Histogram of pass times")
    }

    private func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

    private func milliseconds(_ seconds: Double) -> String {
        Format.fixed(seconds * 1e3, seconds < 0.1 ? 2 : 1)
    }

    /// Groups of steps that a layer's bar is cut into.
    static let groups: [(name: String, operations: [PassOperation])] = [
        ("q, k, v", [.queryKeyValue]), ("attend", [.attend]), ("o", [.attentionOutput]),
        ("gate, up", [.gateUp]), ("down", [.down]),
        (
            "norms, rotation, swiglu",
            [.attentionNorm, .storeKeyValue, .mlpNorm, .activation]
        ),
        ("waiting for disk", [.input]), ("decompress", [.decompress]),
    ]

    /// One bar per layer, cut into its steps.
    func layers(_ pass: PassMeasure) -> String {
        guard let times = pass.samples.operations else { return "" }
        let heights = (0..<times.layerCount).map { layer in
            Self.groups.map { group in
                group.operations.reduce(0) { $0 + times.median($1, layer: layer) } * 1e6
            }
        }
        let sums = heights.map { $0.reduce(0, +) }
        var frame = frame(
            [Double(times.layerCount)], sums, names: ("layer", "microseconds"),
            marks: [], width: 980, height: 260)
        let slot = (966 - Self.left) / Double(max(1, times.layerCount))
        for (layer, parts) in heights.enumerated() {
            var below = 0.0
            let x = Self.left + Double(layer) * slot + 1
            for (index, part) in parts.enumerated() {
                let bottom = frame.y.place(below)
                let top = frame.y.place(below + part)
                frame.drawing.rectangle(
                    x, top, max(1, slot - 2), bottom - top, style: "group\(index)",
                    title: "layer \(layer), \(Self.groups[index].name): "
                        + "\(Format.fixed(part, 0)) us")
                below += part
            }
            if layer % max(1, times.layerCount / 16) == 0 {
                frame.drawing.text("\(layer)", x + slot / 2 - 1, 237, anchor: .middle)
            }
        }
        return frame.drawing.svg(label: "Time of each layer by step")
    }

    /// One quantity of the machine over time; empty where it was not readable.
    func timeline(_ name: String, _ value: (TimelinePoint) -> Double?) -> String {
        let points = report.timeline.compactMap { point in value(point).map { (point.seconds, $0) }
        }
        guard points.count > 1 else { return "" }
        var frame = frame(
            points.map(\.0), points.map(\.1), names: ("seconds", name), width: 480, height: 200)
        frame.drawing.curve(
            points.map { (x: frame.x.place($0.0), y: frame.y.place($0.1)) }, style: "measured")
        return frame.drawing.svg(label: name + " over time")
    }
}
