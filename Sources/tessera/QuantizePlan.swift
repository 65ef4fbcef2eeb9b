internal import TesseraImport
internal import TesseraQuantization
internal import TesseraReporting
internal import TesseraResidency
internal import TesseraMachine
internal import TesseraTransformer
internal import Tessera
internal import TesseraWeightFile

/// From the size that the user asks for to a plan.
extension QuantizeCommand {
    /// The bits of plain codes; 0 where weights keep their codes, nil if the planner chooses codes.
    var plainBits: Int? {
        guard size == nil, ram == nil, kl == nil, codec == .auto || codec == .plain else {
            return nil
        }
        guard let bits else { return codec == .auto ? 0 : nil }
        return Int(exactly: bits).flatMap { [4, 5, 6, 8, 16, 32].contains($0) ? $0 : nil }
    }

    /// Whether bytes are shared out over the matrices.
    var isShared: Bool { plainBits.map { (1..<8).contains($0) } ?? true }

    /// How matrices that share the target may be stored.
    var storages: [StorageClass] {
        switch codec {
        case .auto: plainBits == nil ? [.plain, .zstd, .trellis] : [.plain]
        case .plain: [.plain]
        case .zstd: [.zstd]
        case .rans: [.rans]
        case .trellis: [.trellis]
        }
    }

    func encodingOptions(_ source: any TensorSource) throws -> EncodingPlan.Options {
        var options = EncodingPlan.Options()
        options.overrides = overrides
        options.storages = storages
        if isShared {
            options.pace = try PassPace(storages, threads: threads ?? Processors.usable)
        }
        if let kl {
            options.target = .divergence(kl)
        } else if let size {
            options.target = .fileBytes(size.bytes)
        } else if let ram {
            options.target = .fileBytes(try fileBytes(for: source, ram))
        } else if let plainBits, isShared {
            options.target = .codes(bits: plainBits)
        } else if let plainBits {
            options.bits = EncodingPlan.Options.Bits(rawValue: plainBits)
        } else {
            options.target = .bitsPerWeight(bits ?? 4)
        }
        return options
    }

    /// Bytes of the file that the user asks for, before it is planned; nil if the user names no size.
    func askedBytes(_ options: EncodingPlan.Options, _ source: any TensorSource) -> Int? {
        switch options.target {
        case .fileBytes(let bytes): bytes
        case .bitsPerWeight(let bits): Int(bits / 8 * Double(weights(source)))
        case .codes, .divergence, nil: nil
        }
    }

    func makePlan(
        _ source: any TensorSource, _ options: EncodingPlan.Options
    ) async throws -> EncodingPlan {
        let planner = try RatePlanner(
            source, options: options, threads: threads ?? Processors.usable)
        var progress = ProgressReport("measuring")
        defer { progress.finish() }
        do {
            return try await planner.plan(
                progress: { progress.update(done: $0, total: $1) },
                isCancelled: { Interruption.isRequested })
        } catch QuantizationError.tooSmall(_, let least) {
            throw CommandError(.usage, try tooSmall(source, least: least))
        } catch QuantizationError.tooFar(let least) {
            throw CommandError(
                .usage,
                "--kl \(text(kl ?? 0)): too little; the finest codes of this model diverge by "
                    + "\(Format.significant(least)), as far as calibration tells; --bits 16 is closer"
            )
        }
    }

    /// The error that says, in the user's unit, how much the coarsest codes take.
    private func tooSmall(_ source: any TensorSource, least: Int) throws -> String {
        // Rounded up, so that asking for it works.
        let bytes = least + least / 100
        if let size {
            return "--size \(size.text): too small; the coarsest codes of this model take "
                + Format.bytes(bytes)
        }
        if let ram {
            let needs = ram.bytes - (try fileBytes(for: source, ram))
            return "--ram \(ram.text): too little; the coarsest codes of this model take "
                + "\(Format.bytes(bytes)), cache and buffers \(Format.bytes(needs)): "
                + "\(Format.bytes(bytes + needs)) together"
        }
        let rate = 8 * Double(bytes) / Double(weights(source))
        return "--bits \(text(bits ?? 4)): too few; the coarsest codes of this model take "
            + "\(Format.fixed(rate + 0.005, 2)) bits per weight"
    }

    /// Notes that the file is larger than the free memory, where the user asked for no size.
    func noteMemory(_ bytes: Int) {
        let memory = MemoryBudget.available().bytes
        guard plainBits == 0, bytes > memory else { return }
        Terminal.note(
            "note: \(Format.bytes(memory)) of memory are free here: every pass would read the rest from the disk; "
                + "--ram \(max(1, memory >> 20))M makes a file that fits")
    }

    /// Notes that a plan is smaller than it may be, and why.
    func noteUnused(_ plan: EncodingPlan, _ bytes: Int) {
        let reason =
            plan.storage == .trellis
            ? "a trellis takes 1 to 6 bits per weight, half bits in each tile"
            : "finer codes than these would gain nothing"
        if let bits, plainBits == nil, plan.bitsPerWeight < 0.97 * bits {
            let used = Format.fixed(plan.bitsPerWeight, 2)
            Terminal.note("note: \(used) of the \(text(bits)) bits per weight are used: \(reason)")
        } else if let size, Double(bytes) < 0.95 * Double(size.bytes) {
            Terminal.note("note: \(Format.bytes(bytes)) of \(size.text) are used: \(reason)")
        }
    }

    /// A number of bits as one would write it.
    func text(_ bits: Double) -> String { Int(exactly: bits).map { "\($0)" } ?? "\(bits)" }

    private func weights(_ source: any TensorSource) -> Int {
        max(1, source.tensors.reduce(0) { $0 + $1.rows * $1.columns })
    }
}
