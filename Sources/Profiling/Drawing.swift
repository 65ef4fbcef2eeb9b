internal import TesseraReporting

/// An SVG picture that is being drawn; colours come from the page's style sheet.
struct Drawing {
    let width: Double
    let height: Double
    private var body = ""

    init(width: Double, height: Double) {
        self.width = width
        self.height = height
    }

    enum Anchor: String { case start, middle, end }

    mutating func line(
        _ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double, style: String = "axis"
    ) {
        body += "<line x1=\"\(n(x1))\" y1=\"\(n(y1))\" x2=\"\(n(x2))\" y2=\"\(n(y2))\" "
        body += "class=\"\(style)\"/>\n"
    }

    /// - Parameter title: Shown when pointed at.
    mutating func rectangle(
        _ x: Double, _ y: Double, _ width: Double, _ height: Double, style: String,
        title: String = ""
    ) {
        body += "<rect x=\"\(n(x))\" y=\"\(n(y))\" width=\"\(n(width))\" height=\"\(n(height))\" "
        body += "class=\"\(style)\">\(tooltip(title))</rect>\n"
    }

    mutating func curve(_ points: [(x: Double, y: Double)], style: String) {
        let list = points.map { "\(n($0.x)),\(n($0.y))" }.joined(separator: " ")
        body += "<polyline points=\"\(list)\" class=\"\(style)\"/>\n"
    }

    mutating func dot(_ x: Double, _ y: Double, style: String, title: String = "") {
        body += "<circle cx=\"\(n(x))\" cy=\"\(n(y))\" r=\"3.5\" class=\"\(style)\">"
        body += "\(tooltip(title))</circle>\n"
    }

    mutating func text(
        _ text: String, _ x: Double, _ y: Double, anchor: Anchor = .start, style: String = ""
    ) {
        let kind = style.isEmpty ? "" : " class=\"\(style)\""
        body += "<text x=\"\(n(x))\" y=\"\(n(y))\" text-anchor=\"\(anchor.rawValue)\"\(kind)>"
        body += "\(text.escapedForHTML)</text>\n"
    }

    /// - Parameters:
    ///   - label: What the picture shows, for those who cannot see it.
    ///   - styleSheet: The style sheet of a picture that stands alone; in a page, that of the page counts.
    func svg(label: String, styleSheet: String? = nil) -> String {
        let style = styleSheet.map { "<style>\($0)</style>\n" } ?? ""
        let space = styleSheet == nil ? "" : "xmlns=\"http://www.w3.org/2000/svg\" "
        return
            "<svg \(space)viewBox=\"0 0 \(n(width)) \(n(height))\" width=\"\(n(width))\" role=\"img\" "
            + "aria-label=\"\(label.escapedForHTML)\">\n\(style)\(body)</svg>\n"
    }

    private func tooltip(_ title: String) -> String {
        title.isEmpty ? "" : "<title>\(title.escapedForHTML)</title>"
    }

    private func n(_ value: Double) -> String { Format.fixed(value.isFinite ? value : 0, 1) }
}

extension String {
    /// With the characters that HTML and SVG reserve spelled out, and none that XML forbids.
    var escapedForHTML: String {
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case _ where scalar.value < 0x20 && scalar != "\n" && scalar != "\t":
                result += "\u{fffd}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
