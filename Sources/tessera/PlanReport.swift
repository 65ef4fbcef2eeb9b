public import ArgumentParser
internal import TesseraReporting
public import TesseraResidency

extension InputMethod: ExpressibleByArgument {}

extension ResidencyPlan {
    /// Two lines for people.
    func sentence(_ pace: ReadingPace?) -> String {
        let first =
            isResident
            ? "all \(Format.bytes(weightBytes)) of weights stay in memory"
            : "\(Format.bytes(hotBytes)) of weights stay in memory (\(percent(hitRate)) of a pass"
                + (decodesAhead ? ", \(Format.bytes(decodedBytes)) decoded" : "") + "), "
                + "\(Format.bytes(streamedBytes)) are read in each"
        let reading =
            pace.map {
                ", which takes \(Format.seconds(seconds($0))) at "
                    + "\(Format.bytes(Int($0.bytesPerSecond)))/s (\($0.method.rawValue))"
            } ?? ""
        return """
            \(first)\(reading)
            tessera: cache \(Format.bytes(needs.cache)), buffers \(Format.bytes(needs.scratch)), window \
            \(Format.bytes(windowBytes)), program \(Format.bytes(needs.base)); in all \
            \(Format.bytes(totalBytes)) of \(Format.bytes(budget.bytes)) by \(budget.source.rawValue)
            """
    }

    /// Seconds that a pass takes to read the weights that do not stay in memory.
    private func seconds(_ pace: ReadingPace) -> Double {
        Double(streamedBytes) / max(pace.bytesPerSecond, 1)
    }

    /// A table for people.
    ///
    /// - Parameters:
    ///   - pace: How fast the file can be read, where that is known.
    ///   - passes: Passes per second that reading weights allows, where that is known.
    func report(_ pace: ReadingPace?, passesPerSecond passes: Double?) -> String {
        var rows = [
            ("budget", Format.bytes(budget.bytes), "by \(budget.source.rawValue)"),
            (
                "hot weights", Format.bytes(heldBytes),
                "\(percent(hitRate)) of a pass"
                    + (decodesAhead ? ", \(Format.bytes(decodedBytes)) of it decoded ahead" : "")
            ),
            ("streamed weights", Format.bytes(streamedBytes), "read in every pass"),
            ("window for streaming", Format.bytes(windowBytes), ""),
            ("keys and values", Format.bytes(needs.cache), ""),
            ("activations and logits", Format.bytes(needs.scratch), ""),
            ("program and tokenizer", Format.bytes(needs.base), "estimated"),
            ("in memory", Format.bytes(totalBytes), ""),
        ]
        if let pace {
            rows.append(
                (
                    "reading, per pass", Format.seconds(seconds(pace)),
                    "at \(Format.bytes(Int(pace.bytesPerSecond)))/s, measured now "
                        + "(\(pace.method.rawValue))"
                ))
        }
        if let passes {
            rows.append(
                (
                    "tokens per second", "< " + Format.fixed(passes, passes < 10 ? 1 : 0),
                    "one per pass, from the time of reading weights only; the time of multiplying is not known"
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
    func json(_ pace: ReadingPace?) -> [(String, JSONOutput)] {
        [
            ("budget_bytes", .int(budget.bytes)),
            ("budget_source", .string(budget.source.rawValue)),
            ("weight_bytes", .int(weightBytes)), ("hot_bytes", .int(hotBytes)),
            ("held_bytes", .int(heldBytes)), ("decoded_bytes", .int(decodedBytes)),
            ("streamed_bytes", .int(streamedBytes)), ("window_bytes", .int(windowBytes)),
            ("cache_bytes", .int(needs.cache)), ("scratch_bytes", .int(needs.scratch)),
            ("base_bytes", .int(needs.base)), ("total_bytes", .int(totalBytes)),
            ("hit_rate", .number(hitRate)),
            ("io", pace.map { .string($0.method.rawValue) } ?? .null),
            ("disk_bytes_per_second", pace.map { .number($0.bytesPerSecond) } ?? .null),
            ("seconds_reading_per_pass", pace.map { .number(seconds($0)) } ?? .null),
        ]
    }
}
