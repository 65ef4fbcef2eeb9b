import TesseraReporting
import Testing

@Suite("Text for terminals")
struct TextTests {
    private var table: TextTable {
        var table = TextTable(["size", "first", "second", "third"])
        table.append(["1", "10", "20", "30"])
        table.append(["16", "11", "21", "31"])
        return table
    }

    @Test("A table wider than the terminal is cut into several, whose rows keep their keys")
    func cut() {
        #expect(table.text(width: nil, keyColumns: 1) == table.text)
        #expect(table.text(width: 80, keyColumns: 1) == table.text)
        let cut = table.text(width: 20, keyColumns: 1)
        #expect(
            cut == """
                size  first  second
                   1     10      20
                  16     11      21

                size  third
                   1     30
                  16     31

                """)
        #expect(table.text(width: 3, keyColumns: 1).split(separator: "\n").count == 9)
    }

    @Test("Lines break at spaces, keep their columns, and leave long words whole")
    func wrap() {
        #expect(Format.wrapped("one two three", width: nil) == "one two three")
        #expect(
            Format.wrapped("one two three four\nfive", width: 13) == "one two three\n  four\nfive")
        #expect(
            Format.wrapped("key   a b c d e f g h", width: 16, hanging: 6)
                == "key   a b c d e\n      f g h")
        let long = "averyveryverylongword next"
        #expect(Format.wrapped(long, width: 12) == "averyveryverylongword\n  next")
    }

    @Test(arguments: [12, 20, 33, 60, 80])
    func noLineIsWiderThanAskedFor(width: Int) {
        let text = "warning: other programs used 12% of the processor time while passes ran"
        let lines = Format.wrapped(text, width: width).split(separator: "\n")
        #expect(lines.allSatisfy { $0.count <= width })
        #expect(lines.joined(separator: " ").split(separator: " ") == text.split(separator: " "))
    }
}
