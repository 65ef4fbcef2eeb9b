/// What one decoder layer computes, as data. Formats/TSR.md §5.2.
public struct LayerSpec: Hashable, Sendable {
    /// Where RMSNorms stand: before attention and before the MLP, after both, or at all four places.
    public enum Norms: UInt32, Hashable, Sendable {
        case before = 1
        case after = 2
        case both = 3

        public var standBefore: Bool { self != .after }
        public var standAfter: Bool { self != .before }
    }

    /// What RMSNorm makes of queries and keys before rotation.
    public enum QueryKeyNorm: UInt32, Hashable, Sendable {
        case none = 0
        /// Each head by itself (Qwen3, Gemma 3).
        case perHead = 1
        /// The projection as a whole (OLMo 3).
        case wholeProjection = 2
    }

    /// Activation function of the gate.
    public enum Activation: UInt32, Hashable, Sendable {
        case silu = 1
        /// GELU in its approximation by tanh (Gemma 3).
        case geluTanh = 2
    }

    public var norms = Norms.before
    public var queryKeyNorm = QueryKeyNorm.none
    public var activation = Activation.silu
    /// Index into `ModelConfig.rotaryTables`.
    public var rotary = 0
    /// Positions that a query sees, itself included; 0: all.
    public var window = 0
    /// Factor on products of queries and keys, > 0; most models have 1 / sqrt(headDim).
    public var attentionScale: Float = 1
    /// q, k and v have biases (Qwen2).
    public var attentionBias = false

    public init() {}
}

/// How positions turn pairs of each query and key head. Formats/TSR.md §5.1.
public struct RotaryTable: Hashable, Sendable {
    /// Angle per position of each rotated pair (i, i + headDim / 2), in radians, after any scaling
    /// (linear, llama3, YaRN, LongRoPE): `headDim / 2` values, computed at import. A pair with 0 is
    /// left as it is.
    public var inverseFrequencies: [Double]
    /// Factor on cos and sin; 1 without YaRN and LongRoPE.
    public var attentionFactor: Float
    /// In a run with a longer context, the next table counts (LongRoPE); 0: this one counts for all.
    public var longestContext: Int

    public init(
        _ inverseFrequencies: [Double], attentionFactor: Float = 1, longestContext: Int = 0
    ) {
        self.inverseFrequencies = inverseFrequencies
        self.attentionFactor = attentionFactor
        self.longestContext = longestContext
    }

    /// Whether no pair is turned.
    public var isIdle: Bool { inverseFrequencies.allSatisfy { $0 == 0 } }
}

extension ModelConfig {
    /// The longest context of a run for which each layer's own table counts; nil: any.
    public var longestPlainContext: Int? {
        rotaryTables.map(\.longestContext).filter { $0 > 0 }.min()
    }

    /// The table of a layer's rotation in a run where texts see at most `context` positions.
    public func rotary(of layer: LayerSpec, context: Int) -> Int {
        let longest = rotaryTables[layer.rotary].longestContext
        return longest > 0 && context > longest ? layer.rotary + 1 : layer.rotary
    }

    /// Consecutive equal layers: how often each of these specifications follows itself.
    public var layerRuns: [(count: Int, spec: LayerSpec)] {
        var runs: [(count: Int, spec: LayerSpec)] = []
        for layer in layers {
            if runs.last?.spec == layer {
                runs[runs.count - 1].count += 1
            } else {
                runs.append((1, layer))
            }
        }
        return runs
    }
}
