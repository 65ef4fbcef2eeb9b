internal import TesseraQuantization
internal import TesseraReporting

/// Other plans that were possible.
extension QuantizeCommand {
    func note(_ alternatives: [EncodingPlan.Alternative]) {
        guard !alternatives.isEmpty else { return }
        for line in table(alternatives).text.split(separator: "\n") { Terminal.note("  \(line)") }
    }

    /// One row each; the one that is written has an arrow. Divergences are those that calibration lets expect.
    func table(_ alternatives: [EncodingPlan.Alternative]) -> TextTable {
        var table = TextTable(
            ["", "stored", "size", "bits", "expected KL", "tokens/s at most"], leftColumns: 2)
        for item in alternatives {
            table.append([
                item.isChosen ? "->" : "", "\(item.storage)", Format.bytes(item.fileBytes),
                Format.fixed(item.bitsPerWeight, 2),
                item.divergence.map { Format.significant($0) } ?? "-",
                item.tokensPerSecond.map { Format.significant($0) } ?? "-",
            ])
        }
        return table
    }

    func json(_ alternatives: [EncodingPlan.Alternative]) -> JSONOutput {
        .array(
            alternatives.map { item in
                .object([
                    ("storage", .string("\(item.storage)")), ("file_bytes", .int(item.fileBytes)),
                    ("bits_per_weight", .number(item.bitsPerWeight)),
                    ("expected_kl", item.divergence.map { .number($0) } ?? .null),
                    (
                        "expected_tokens_per_second",
                        item.tokensPerSecond.map { .number($0) } ?? .null
                    ),
                    ("chosen", .bool(item.isChosen)),
                ])
            })
    }
}
