import TesseraReporting
import TesseraWeightFile

/// Descriptions of a model's layers, for people and for programs.
struct LayerLines {
    private let config: ModelConfig

    init(_ config: ModelConfig) { self.config = config }

    /// Layers that are alike in one line, then the rotary tables.
    var lines: [String] {
        var places: [(spec: LayerSpec, ranges: [String])] = []
        var first = 0
        for (count, spec) in config.layerRuns {
            let range = count == 1 ? "\(first)" : "\(first)-\(first + count - 1)"
            first += count
            if let index = places.firstIndex(where: { $0.spec == spec }) {
                places[index].ranges.append(range)
            } else {
                places.append((spec, [range]))
            }
        }
        let layers = places.map { $0.ranges.joined(separator: ", ") + ": " + traits($0.spec) }
        return indented("layers", layers)
            + indented("rotary", config.rotaryTables.indices.map(rotary))
    }

    private func indented(_ title: String, _ lines: [String]) -> [String] {
        lines.enumerated().map { index, line in
            let head = index == 0 ? title : ""
            return "  " + head + String(repeating: " ", count: 12 - head.count) + line
        }
    }

    private func traits(_ spec: LayerSpec) -> String {
        var traits = [spec.window == 0 ? "all positions" : "\(spec.window) positions"]
        switch spec.norms {
        case .before: traits.append("norms before")
        case .after: traits.append("norms after")
        case .both: traits.append("norms before and after")
        }
        switch spec.queryKeyNorm {
        case .none: break
        case .perHead: traits.append("query/key norms per head")
        case .wholeProjection: traits.append("query/key norms of the projections")
        }
        traits.append(spec.activation == .silu ? "SiLU" : "GELU (tanh)")
        if spec.attentionBias { traits.append("biases") }
        traits.append("attention scale \(spec.attentionScale)")
        traits.append("rotary \(spec.rotary)")
        return traits.joined(separator: ", ")
    }

    private func rotary(_ index: Int) -> String {
        let table = config.rotaryTables[index]
        guard !table.isIdle else { return "\(index): no rotation" }
        let turned = table.inverseFrequencies.filter { $0 != 0 }
        var text =
            "\(index): \(2 * turned.count) of \(config.headDim) dimensions, frequencies "
            + "\(turned.max() ?? 0) to \(turned.min() ?? 0)"
        if table.attentionFactor != 1 { text += ", factor \(table.attentionFactor)" }
        if table.longestContext > 0 {
            text += ", up to a context of \(table.longestContext), then rotary \(index + 1)"
        }
        return text
    }

    // MARK: JSON

    static func json(_ run: (count: Int, spec: LayerSpec)) -> JSONOutput {
        let spec = run.spec
        return .object([
            ("count", .int(run.count)), ("norms", .string("\(spec.norms)")),
            ("query_key_norm", .string("\(spec.queryKeyNorm)")),
            ("activation", .string("\(spec.activation)")), ("rotary", .int(spec.rotary)),
            ("window", .int(spec.window)),
            ("attention_scale", .number(Double(spec.attentionScale))),
            ("attention_bias", .bool(spec.attentionBias)),
        ])
    }

    static func json(_ table: RotaryTable) -> JSONOutput {
        .object([
            ("longest_context", .int(table.longestContext)),
            ("attention_factor", .number(Double(table.attentionFactor))),
            ("inverse_frequencies", .array(table.inverseFrequencies.map(JSONOutput.number))),
        ])
    }
}

// A block drafter.
extension LayerLines {
    static func lines(_ drafter: ModelConfig.Drafter) -> [String] {
        let taps = drafter.taps.map { "\($0)" }.joined(separator: " ")
        let count = drafter.draftTokens.count
        return [
            "  drafter     reads layers \(taps) of its target's \(drafter.targetLayers), counted from 0",
            "  drafts      \(drafter.most) tokens at most"
                + (count > 0 ? ", of \(count) that it knows" : "") + ", mask \(drafter.maskToken)"
                + (drafter.markovRank > 0 ? ", Markov head of rank \(drafter.markovRank)" : "")
                + (drafter.confidence == .none ? "" : ", confidence head"),
        ]
    }

    static func json(_ drafter: ModelConfig.Drafter) -> JSONOutput {
        .object([
            ("taps", .array(drafter.taps.map { .int($0) })),
            ("target_layers", .int(drafter.targetLayers)),
            ("block_size", .int(drafter.blockSize)), ("mask_token", .int(drafter.maskToken)),
            ("predicts_next", .bool(drafter.predictsNext)),
            ("markov_rank", .int(drafter.markovRank)),
            ("confidence_head", .bool(drafter.confidence != .none)),
            ("draft_tokens", .int(drafter.draftTokens.count)),
        ])
    }
}
