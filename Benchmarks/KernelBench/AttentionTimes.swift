import TesseraKernels

/// Attention of one layer over a full cache.
struct AttentionTimes {
    /// Heads of a real model.
    struct Shape {
        var name: String
        var heads: Int
        var kvHeads: Int
        var headDim: Int
    }

    private static let shapes = [
        Shape(name: "SmolLM2-135M", heads: 9, kvHeads: 3, headDim: 64),
        Shape(name: "Llama-3.1-8B", heads: 32, kvHeads: 8, headDim: 128),
    ]

    private let shape: Shape
    private let context: Int
    private let layers: [KVLayer]
    private let queries: Buffer<Float>
    private let visible: Buffer<Int32>
    private let out: Activations
    private var width: Int { shape.heads * shape.headDim }

    /// As many layers as a model has, so that no cache holds all: at most 256 MB.
    private init(
        _ compute: Compute, _ shape: Shape, _ encoding: KVLayer.Encoding, context: Int, tokens: Int
    ) {
        self.shape = shape
        self.context = context
        let bytes = KVLayer.byteCount(
            slots: context, kvHeads: shape.kvHeads, headDim: shape.headDim, encoding: encoding)
        let stride = 2 * shape.kvHeads * shape.headDim
        let stored = Buffer<Float>(count: context * stride)
        for index in 0..<stored.count {
            stored[index] = Float(index &* 2_654_435_761 % 2001 - 1000) * 1e-3
        }
        let slots = Buffer<Int32>(count: context)
        for index in 0..<context { slots[index] = Int32(index) }
        let keys = HeadLayout(
            offset: 0, stride: stride, heads: shape.kvHeads, headDim: shape.headDim)
        var values = keys
        values.offset = shape.kvHeads * shape.headDim
        layers = (0..<max(1, min(32, (256 << 20) / bytes))).map { _ in
            let layer = KVLayer(
                kvHeads: shape.kvHeads, headDim: shape.headDim, slots: context, encoding: encoding)
            compute.store(
                stored, keys: keys, values: values, tokens: context, slots: slots, into: layer)
            return layer
        }
        queries = Buffer(count: tokens * shape.heads * shape.headDim)
        for index in 0..<queries.count {
            queries[index] = Float(index &* 40_503 % 2001 - 1000) * 1e-3
        }
        visible = Buffer(count: tokens * 8)
        for token in 0..<tokens { visible[token * 8 + 1] = Int32(context) }
        out = Activations(tokenCapacity: tokens, columns: shape.heads * shape.headDim)
    }

    /// Median seconds of one layer.
    private func seconds(_ compute: Compute, tokens: Int, runs: Int) -> Double {
        let layout = HeadLayout(
            offset: 0, stride: width, heads: shape.heads, headDim: shape.headDim)
        let scale = 1 / Float(shape.headDim).squareRoot()
        var samples: [Double] = []
        for _ in 0..<max(3, runs) {
            let start = ContinuousClock.now
            for layer in layers {
                compute.attend(
                    queries, queries: layout, tokens: tokens, visible: visible, scale: scale,
                    layer: layer, into: out)
            }
            samples.append((ContinuousClock.now - start) / .seconds(1) / Double(layers.count))
        }
        return Report.median(samples)
    }

    /// Products count as in a profile: two per query head, column and slot.
    static func table(_ compute: Compute, runs: Int) -> String {
        let limits = compute.measureLimits()
        let read = Report.fixed(limits.readBytesPerSecond / 1e9, 1)
        let macs = Report.fixed(limits.int8MacsPerSecond / 1e9, 0)
        var lines = [
            "\(compute.isa), \(compute.threads) threads: attention of one layer (limits: \(read) GB/s, "
                + "\(macs) G MAC/s)", "",
            "| heads of | cache | context | m | us | GB/s | % of read | G MAC/s | % of MAC peak |",
            "|---|---|--:|--:|--:|--:|--:|--:|--:|",
        ]
        for shape in shapes {
            for encoding in [KVLayer.Encoding.int8, .int4, .f16] {
                for context in [1024, 8192] {
                    let times = AttentionTimes(
                        compute, shape, encoding, context: context, tokens: 16)
                    let bytes = Double(times.layers[0].byteCount)
                    for tokens in [1, 8, 16] {
                        let time = times.seconds(compute, tokens: tokens, runs: runs)
                        let products = Double(2 * tokens * times.width * context)
                        lines.append(
                            "| \(shape.name) | \(encoding) | \(context) | \(tokens) "
                                + "| \(Report.fixed(time * 1e6, 1)) "
                                + "| \(Report.fixed(bytes / time / 1e9, 1)) "
                                + "| \(Report.fixed(100 * bytes / time / limits.readBytesPerSecond, 0)) "
                                + "| \(Report.fixed(products / time / 1e9, 1)) "
                                + "| \(Report.fixed(100 * products / time / limits.int8MacsPerSecond, 0)) |"
                        )
                    }
                }
            }
        }
        return lines.joined(separator: "\n")
    }
}
