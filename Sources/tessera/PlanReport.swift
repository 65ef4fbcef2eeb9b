public import ArgumentParser
internal import Reporting
public import Residency

extension InputMethod: ExpressibleByArgument {}

extension ResidencyPlan {
    /// One line for people.
    var sentence: String {
        guard !isResident else {
            return "all \(Format.bytes(weightBytes)) of weights stay in memory"
        }
        return
            "\(Format.bytes(hotBytes)) of \(Format.bytes(weightBytes)) of weights stay in memory, "
            + "\(Format.bytes(streamedBytes)) are read in each pass "
            + "(budget \(Format.bytes(budget.bytes)) by \(budget.source.rawValue))"
    }

    /// A table for people.
    ///
    /// - Parameter diskRate: Bytes per second.
    func report(diskRate: Double?) -> String {
        var rows = [
            ("budget", Format.bytes(budget.bytes), "by \(budget.source.rawValue)"),
            ("hot weights", Format.bytes(hotBytes), "\(percent(hitRate)) of a pass"),
            ("streamed weights", Format.bytes(streamedBytes), "read in every pass"),
            ("window for streaming", Format.bytes(windowBytes), ""),
            ("keys and values", Format.bytes(needs.cache), ""),
            ("activations and logits", Format.bytes(needs.scratch), ""),
            ("program and tokenizer", Format.bytes(needs.base), "estimated"),
            ("in memory", Format.bytes(totalBytes), ""),
        ]
        if let diskRate, streamedBytes > 0 {
            rows.append(
                (
                    "reading, per pass", Format.seconds(Double(streamedBytes) / diskRate),
                    "at \(Format.bytes(Int(diskRate)))/s, measured now"
                ))
        }
        let width = rows.map(\.1.count).max() ?? 0
        return rows.map { name, value, note in
            let left = name + String(repeating: " ", count: 24 - name.count)
            let space = String(repeating: " ", count: width - value.count)
            return left + space + value + (note.isEmpty ? "" : "  " + note)
        }.joined(separator: "\n")
    }

    private func percent(_ share: Double) -> String { Format.fixed(100 * share, 1) + " %" }

    /// The same for programs.
    func json(diskRate: Double?) -> [(String, JSONOutput)] {
        [
            ("budget_bytes", .int(budget.bytes)),
            ("budget_source", .string(budget.source.rawValue)),
            ("weight_bytes", .int(weightBytes)), ("hot_bytes", .int(hotBytes)),
            ("streamed_bytes", .int(streamedBytes)), ("window_bytes", .int(windowBytes)),
            ("cache_bytes", .int(needs.cache)), ("scratch_bytes", .int(needs.scratch)),
            ("base_bytes", .int(needs.base)), ("total_bytes", .int(totalBytes)),
            ("hit_rate", .number(hitRate)),
            ("disk_bytes_per_second", diskRate.map { .number($0) } ?? .null),
            (
                "seconds_reading_per_pass",
                diskRate.map { .number(Double(streamedBytes) / $0) } ?? .null
            ),
        ]
    }
}
