internal import TesseraDecoding
internal import Glibc
internal import TesseraReporting
internal import Tessera
internal import TesseraTokenization

/// Shows the passes over each block: which token was decided where and when.
enum TraceReport {
    /// Background colours of the passes over a block, early to late, and again.
    private static let colors = [42, 43, 45, 46, 44, 41]

    static func write(_ session: Session) {
        guard let trace = session.state.trace else { return }
        let isColored = Terminal.usesColor(isTTY: Terminal.errorIsTTY)
        for block in trace.blocks {
            var decided: [(position: Int, pass: Int, reveal: Trace.Reveal)] = []
            for (pass, entry) in block.passes.enumerated() {
                decided += entry.reveals.map { ($0.position, pass + 1, $0) }
            }
            decided.sort { $0.position < $1.position }
            let passes = block.passes.count
            let cells = decided.map {
                cell($0.reveal, pass: $0.pass, isColored: isColored, session)
            }
            Terminal.note(
                "@\(block.position) size \(block.size), \(passes) pass\(passes == 1 ? "" : "es"): "
                    + cells.joined(separator: isColored ? "" : " "))
        }
        if isColored {
            let key = colors.indices.map { "\u{1b}[30;\(colors[$0])m pass \($0 + 1) \u{1b}[0m" }
            Terminal.note(key.joined())
        }
    }

    /// `pass:"text"`, with the entropy where it was not certain; drafts in parentheses.
    private static func cell(
        _ reveal: Trace.Reveal, pass: Int, isColored: Bool, _ session: Session
    ) -> String {
        let bytes = session.source.tokenizer.bytes(of: reveal.token)
        let text = JSONOutput.string(String(decoding: bytes, as: UTF8.self)).text
        if isColored {
            let color = reveal.isKept ? "30;\(colors[(pass - 1) % colors.count])" : "2"
            return "\u{1b}[\(color)m\(text.dropFirst().dropLast())\u{1b}[0m"
        }
        let entropy = reveal.entropy >= 0.005 ? "~\(Format.fixed(Double(reveal.entropy), 2))" : ""
        let shown = "\(pass):\(text)\(entropy)"
        return reveal.isKept ? shown : "(\(shown))"
    }
}

extension Trace {
    /// Block by block and pass by pass; entropies in nats.
    var json: JSONOutput {
        func reveal(_ reveal: Reveal) -> JSONOutput {
            .object([
                ("position", .int(reveal.position)), ("id", .int(Int(reveal.token))),
                ("entropy", .number(Double(reveal.entropy))), ("kept", .bool(reveal.isKept)),
            ])
        }
        return .array(
            blocks.map { block in
                .object([
                    ("position", .int(block.position)), ("size", .int(block.size)),
                    (
                        "passes",
                        .array(
                            block.passes.map { pass in
                                .object([
                                    ("committed", .int(pass.committed)), ("open", .int(pass.open)),
                                    ("reveals", .array(pass.reveals.map(reveal))),
                                ])
                            })
                    ),
                ])
            })
    }
}
