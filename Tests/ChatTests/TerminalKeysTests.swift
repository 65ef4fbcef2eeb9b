import TesseraChat
import TesseraDecoding
import Testing

@Suite struct TerminalKeysTests {
    private func keys(_ pieces: [[UInt8]]) -> String {
        var keys = TerminalKeys()
        var text = String.UnicodeScalarView()
        for piece in pieces { text.append(contentsOf: keys.append(piece)) }
        return String(text)
    }

    @Test func keysComeThroughWhateverPiecesTheyComeIn() {
        let text = "a\u{1b}[Aé🙂\u{3}\r\u{1b}[200~x\ry\r\nz\n\t\0\u{1b}[A\u{1b}[201~b\r"
        let expected = "a\u{1b}[Aé🙂\u{3}\rx␊y␊z␊\u{16}\t\u{16}\u{1b}[Ab\r"
        let bytes = Array(text.utf8)
        #expect(keys([bytes]) == expected)
        #expect(keys(bytes.map { [$0] }) == expected)
        for cut in bytes.indices {
            #expect(keys([Array(bytes[..<cut]), Array(bytes[cut...])]) == expected)
        }
        #expect(TerminalKeys.text("x␊y") == "x\ny")
    }

    @Test func wrongBytesAreReplaced() {
        #expect(
            keys([[0x61, 0xff, 0x62, 0xc3, 0x28, 0xed, 0xa0, 0x80]]).contains("a\u{fffd}b\u{fffd}(")
        )
    }
}

@Suite struct ChatLineTests {
    @Test(arguments: [
        ("hello", ChatLine.message("hello")), ("//usr", .message("/usr")), ("/exit", .exit),
        ("/quit", .exit), ("/system  Be kind. ", .system("Be kind.")), ("/system", .system(nil)),
        ("/save my file", .save("my file")), ("/set top-p=0.5", .set(name: "top-p", value: "0.5")),
        ("/set seed  4", .set(name: "seed", value: "4")), ("/set", .set(name: nil, value: "")),
        ("/retry", .retry), ("/undo", .undo), ("/reset", .reset), ("/help", .help),
    ])
    func linesMean(_ text: String, _ line: ChatLine) { #expect(ChatLine(text) == line) }

    @Test(arguments: ["/", "/frob", "/load", "/set seed", "/undo 2", "/exitx"])
    func whatIsNoCommandIsWrong(_ text: String) {
        guard case .wrong = ChatLine(text) else {
            Issue.record("\(text) is taken")
            return
        }
    }

    @Test func settingsChangeOnlyToWhatIsAllowed() throws {
        var settings = ChatSettings(sampling: SamplingOptions(), maxTokens: 10)
        try settings.set("temperature", to: "0.5")
        try settings.set("max-tokens", to: "20")
        try settings.set("seed", to: "18446744073709551615")
        #expect(settings.sampling.temperature == 0.5 && settings.maxTokens == 20)
        #expect(settings.sampling.seed == .max && settings.text.contains("temperature 0.5"))
        let before = settings.text
        for (name, value) in [
            ("temperature", "-1"), ("temperature", "warm"), ("top-p", "0"), ("max-tokens", "0"),
            ("max-tokens", "1.5"), ("frob", "1"), ("seed", "-1"),
        ] {
            #expect(throws: ChatSettings.Failure.self) { try settings.set(name, to: value) }
        }
        #expect(settings.text == before)
    }
}
