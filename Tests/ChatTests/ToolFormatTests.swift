@testable import TesseraChat
import TesseraGrammars
import TesseraReporting
import Testing

@Suite struct ToolFormatTests {
    private static func call(_ format: ToolFormat, _ name: String, _ arguments: String) -> String {
        switch format {
        case .hermes:
            "<tool_call>\n{\"name\": \"\(name)\", \"arguments\": \(arguments)}\n</tool_call>"
        case .llama: "{\"name\": \"\(name)\", \"parameters\": \(arguments)}"
        }
    }

    /// The parts of a text that comes in pieces of so many characters, with neighbours of one kind joined.
    private static func parts(_ format: ToolFormat, _ text: String, by count: Int)
        -> [ToolCallReader.Part]
    {
        var reader = ToolCallReader(format)
        var rest = Substring(text)
        var parts: [ToolCallReader.Part] = []
        while !rest.isEmpty {
            parts += reader.read(String(rest.prefix(count)))
            rest = rest.dropFirst(count)
        }
        var joined: [ToolCallReader.Part] = []
        for part in parts + reader.finish() {
            switch (joined.last, part) {
            case (.text(let a), .text(let b)): joined[joined.count - 1] = .text(a + b)
            case (.arguments(let a), .arguments(let b)):
                joined[joined.count - 1] = .arguments(a + b)
            default: joined.append(part)
            }
        }
        return joined
    }

    private static let arguments = #"{"a": {"b": ["}", "\"{é"]}, "c": 1}"#

    @Test(arguments: [1, 2, 3, 7, 1000]) func callsAreToldFromText(count: Int) {
        let hermes = Self.call(.hermes, "f", Self.arguments)
        let told: [ToolCallReader.Part] = [.call("f"), .arguments(Self.arguments)]
        func parts(_ text: String) -> [ToolCallReader.Part] { Self.parts(.hermes, text, by: count) }
        #expect(parts(hermes) == told)
        #expect(parts("Let me see. \n" + hermes) == [.text("Let me see.")] + told)
        #expect(parts(hermes + "\n" + hermes) == told + told)
        #expect(parts("a < b, <tool_ <tool_cal é ") == [.text("a < b, <tool_ <tool_cal é ")])
        #expect(parts("a <tool") == [.text("a <tool")])
        #expect(parts("  text  ") == [.text("  text  ")])
        let llama = Self.call(.llama, "f", Self.arguments)
        #expect(Self.parts(.llama, llama, by: count) == told)
        #expect(Self.parts(.llama, "It is {\"name\"}.", by: count) == [.text("It is {\"name\"}.")])
        // An answer that was cut.
        #expect(parts(String(hermes.dropLast(20))).first == .call("f"))
    }

    @Test func templatesTellTheirFormat() {
        #expect(ToolFormat(template: "{% for tool in tools %}<tool_call>{'arguments'}") == .hermes)
        #expect(ToolFormat(template: "{{ tools }} ipython {'parameters'}") == .llama)
        #expect(ToolFormat(template: "{{ tools }}<tool_call><function=f>arguments") == nil)
        #expect(ToolFormat(template: "{{ messages }}") == nil)
    }
}
