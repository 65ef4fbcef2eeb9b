import Foundation
import TesseraImport
import TesseraKernels
import TesseraQuantization
import TesseraTransformer
import TesseraWeightFile

/// The random models of `Resources`, made by Tools/oracle/make_tiny.py, as weight files.
enum TinyModel: String, CaseIterable {
    case llama, smollm, qwen2, qwen3, ministral3

    enum Source: CaseIterable { case folder, gguf }

    static let resources = URL(filePath: #filePath).deletingLastPathComponent()
        .appending(path: "Resources")

    /// Imports and opens one, once for all tests.
    func open(
        _ source: Source = .folder, bits: EncodingPlan.Options.Bits = .thirtyTwo
    ) async throws -> WeightFile {
        var options = EncodingPlan.Options()
        options.bits = bits
        let name = source == .folder ? rawValue : rawValue + ".gguf"
        return try await Self.open(name, options)
    }

    /// Imports and opens one of `Resources` as `options` ask for, once for all tests.
    static func open(
        _ name: String, _ options: EncodingPlan.Options
    ) async throws -> WeightFile {
        let bits = options.bits.map { "\($0)" } ?? "as found"
        let key =
            "\(name) \(bits) \(options.overrides) \(options.storages) \(options.target != nil)"
        return try await OpenFiles.shared.file(key) { try await convert(name, options) }
    }

    /// The file on disk is gone when this returns.
    private static func convert(
        _ name: String, _ options: EncodingPlan.Options
    ) async throws -> WeightFile {
        let model = try openModel(at: resources.appending(path: name).path)
        let plan =
            try options.target == nil
            ? EncodingPlan(
                for: model.tensors, tiedHead: model.config.tieWordEmbeddings, options: options)
            : await RatePlanner(model, options: options, threads: 1)
                .plan(progress: { _, _ in }, isCancelled: { false })
        let path = FileManager.default.temporaryDirectory
            .appending(path: "tessera-\(UUID().uuidString).tsr").path
        _ = try await Quantizer(model, plan: plan, threads: 1).write(
            to: path, progress: { _, _ in }, isCancelled: { false })
        defer { try? FileManager.default.removeItem(atPath: path) }
        return try WeightFile(path: path)
    }
}

/// Weight files that tests share.
private actor OpenFiles {
    static let shared = OpenFiles()
    private var files: [String: Task<WeightFile, any Error>] = [:]

    func file(
        _ key: String, _ make: @escaping @Sendable () async throws -> WeightFile
    ) async throws -> WeightFile {
        let task = files[key] ?? Task { try await make() }
        files[key] = task
        return try await task.value
    }
}

extension TokenSequence {
    /// A sequence that is computed in floats wherever the file allows it.
    static func reference(
        _ file: WeightFile, context: Int = 256, sinks: Int = 4, batch: Int = 128,
        cache: KVLayer.Encoding = .f32, threads: Int = 1
    ) throws -> TokenSequence {
        var options = Model.Options()
        options.contextLength = context
        options.sinks = sinks
        options.batchCapacity = batch
        options.kvEncoding = cache
        options.threads = threads
        options.logitCapacity = 128
        return try TokenSequence(file, options: options)
    }

    /// One pass; returns the wanted rows of logits.
    func logits(
        committed: [Int32], open: [Int32] = [], rows: [Int], blockSize: Int = 1
    ) throws -> [[Float]] {
        try forward(committed: committed, open: open, logitRows: rows, blockSize: blockSize)
        return rows.indices.map { row in
            (0..<config.vocabularySize).map { logits[row * logitStride + $0] }
        }
    }

    /// Logits after each of `tokens`.
    func causalLogits(_ tokens: [Int32]) throws -> [[Float]] {
        try logits(committed: tokens, rows: Array(tokens.indices))
    }
}

/// Largest difference between two sets of rows; infinite where shapes or NaN get in the way.
func largestError(_ a: [[Float]], _ b: [[Float]]) -> Float {
    guard a.count == b.count else { return .infinity }
    var largest: Float = 0
    for (x, y) in zip(a, b) {
        guard x.count == y.count else { return .infinity }
        for (p, q) in zip(x, y) {
            let error = abs(p - q)
            guard error.isFinite else { return .infinity }
            largest = max(largest, error)
        }
    }
    return largest
}

/// How far rows of logits are from the reference as distributions.
struct Divergence {
    /// Mean of KL(reference || other) in nats.
    var mean = 0.0
    /// Rows whose largest logit is at the same place, of all.
    var agreement = 0.0

    init(_ reference: [[Float]], _ other: [[Float]]) {
        precondition(reference.count == other.count && !reference.isEmpty)
        for (p, q) in zip(reference, other) {
            mean += Self.divergence(p.map(Double.init), q.map(Double.init))
            agreement += p.firstIndex(of: p.max()!) == q.firstIndex(of: q.max()!) ? 1 : 0
        }
        mean /= Double(reference.count)
        agreement /= Double(reference.count)
    }

    private static func divergence(_ p: [Double], _ q: [Double]) -> Double {
        let (a, b) = (logSumExp(p), logSumExp(q))
        return zip(p, q).reduce(0) { $0 + exp($1.0 - a) * (($1.0 - a) - ($1.1 - b)) }
    }

    private static func logSumExp(_ x: [Double]) -> Double {
        let largest = x.max()!
        return largest + log(x.reduce(0) { $0 + exp($1 - largest) })
    }
}

/// Token ids below 316, the same for the same seed.
func randomTokens(_ count: Int, seed: UInt64 = 1) -> [Int32] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return (0..<count).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int32((state >> 33) % 316)
    }
}
