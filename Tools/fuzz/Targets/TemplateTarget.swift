import TesseraChatTemplates
import TesseraTokenization

/// Chat templates. The first byte chooses who speaks; after it follow the template and what is said.
enum TemplateTarget {
    /// Marks what users wrote: a character of no template.
    private static let mark: Unicode.Scalar = "\u{f8ff}"

    static func run(_ bytes: [UInt8]) {
        var input = InputBytes(bytes)
        let flags = input.byte()
        let texts = input.texts
        guard let template = try? parse(texts[0]) else { return }
        let isMarked =
            !texts[0].unicodeScalars.contains(mark) && !texts[0].lowercased().contains("f8ff")
        let messages = messages(Array(texts.dropFirst()), flags, isMarked)
        do throws(TemplateError) {
            let segments = try template.render(
                messages, addGenerationPrompt: flags & 1 == 0, bosToken: "<s>", eosToken: "</s>",
                flags: flags & 2 == 0 ? [:] : ["enable_thinking": flags & 4 == 0])
            guard isMarked else { return }
            for segment in segments where !segment.isUserText {
                precondition(
                    !segment.text.unicodeScalars.contains(mark), "user text became the template's")
            }
        } catch {
            precondition(!error.description.isEmpty)
        }
    }

    private static func parse(_ text: String) throws(TemplateError) -> ChatTemplate {
        do throws(TemplateError) {
            return try ChatTemplate(parsing: text)
        } catch {
            precondition(!error.description.isEmpty)
            throw error
        }
    }

    private static func messages(_ texts: [String], _ flags: Int, _ isMarked: Bool) -> [Message] {
        let roles = flags & 8 == 0 ? ["user", "assistant"] : ["system", "user", "assistant"]
        let said = texts.isEmpty ? ["Hi"] : texts
        return said.prefix(8).enumerated().map { index, text in
            let content = isMarked ? "\(mark)" + text.map { "\($0)\(mark)" }.joined() : text
            return Message(role: roles[index % roles.count], content: content)
        }
    }
}
