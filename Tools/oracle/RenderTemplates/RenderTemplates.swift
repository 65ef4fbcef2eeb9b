internal import TesseraChatTemplates
internal import TesseraReporting
internal import TesseraTokenization

/// For check_templates.py: renders one template per line of standard input.
///
/// A line is `{"template": "...", "variables": {...}}`; the answer is a line with the prompt as `text`
/// and its parts that no user wrote as `made`, or the reason why there is none as `error`.
@main
struct RenderTemplates {
    static func main() {
        while let line = readLine() { print(answer(line).text) }
    }

    private static func answer(_ line: String) -> JSONOutput {
        do {
            let request = try JSONParser.parse(Array(line.utf8))
            let template = try ChatTemplate(parsing: request["template"]?.string ?? "")
            let segments = try template.render(request["variables"] ?? .object([]))
            let made = segments.filter { !$0.isUserText }
            return .object([
                ("text", .string(segments.map(\.text).joined())),
                ("made", .string(made.map(\.text).joined(separator: "\n"))),
            ])
        } catch {
            return .object([("error", .string("\(error)"))])
        }
    }
}
