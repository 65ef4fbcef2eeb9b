internal import TesseraKernels
internal import TesseraReporting

/// One fact that a user should know, or one thing to change.
public struct Advice: Sendable, Equatable {
    public enum Weight: String, Sendable {
        /// Costs much of the speed.
        case problem
        case note
    }

    public var weight: Weight
    public var text: String
}

extension MachineReport {
    /// About what a model of 8 billion weights takes with 4.5 bits each.
    private static let largeModelBytes = 4_600_000_000

    /// Advice that follows from the facts and measurements.
    public var advice: [Advice] {
        var list: [Advice] = []
        func problem(_ text: String) { list.append(Advice(weight: .problem, text: text)) }
        func note(_ text: String) { list.append(Advice(weight: .note, text: text)) }
        if isa == "scalar" {
            problem("no vector instructions in use; x86-64 needs AVX2, ARM needs NEON")
        } else if let best = multiplying.max(by: { $0.macsPerSecond < $1.macsPerSecond }),
            best.isa != isa, best.macsPerSecond > 1.1 * limits.int8MacsPerSecond
        {
            problem("\(best.isa) multiplies faster than \(isa); is TESSERA_ISA set?")
        }
        let usable = facts.usableBytes
        if usable > 0, usable < Self.largeModelBytes {
            problem(
                "\(Format.bytes(usable)) of memory hold no 8B model at 4 bits "
                    + "(\(Format.bytes(Self.largeModelBytes))); it would be read from disk in "
                    + "every pass" + diskSentence)
        } else if facts.availableBytes < Self.largeModelBytes {
            note(
                "only \(Format.bytes(facts.availableBytes)) of memory are free for an 8B model at "
                    + "4 bits (\(Format.bytes(Self.largeModelBytes)))")
        }
        if let limit = facts.group.memoryLimit, limit < facts.memoryBytes {
            note("a control group limits memory to \(Format.bytes(limit))")
        }
        if let quota = facts.group.processorQuota, quota < Double(facts.processors) {
            note("a control group allows \(Format.fixed(quota, 2)) processors' time")
        }
        if threads < facts.processors {
            note("\(threads) of \(facts.processors) processors may be used")
        }
        if let one = reading.first, let all = reading.last, all.threads > 1,
            all.bytesPerSecond < 1.1 * one.bytesPerSecond, load?.warnings.isEmpty != false
        {
            note(
                "one thread reads memory as fast as \(all.threads): more threads help only "
                    + "passes over many positions")
        }
        if !["", "performance"].contains(facts.governor) {
            note(
                "the frequency governor is '\(facts.governor)'; 'performance' gives steadier times")
        }
        for warning in load?.warnings ?? [] {
            problem(warning + "; measure again when it is quiet")
        }
        return list
    }

    private var diskSentence: String {
        guard let disk else { return "; measure the disk with --disk FILE" }
        let seconds = Double(Self.largeModelBytes) / disk.bytesPerSecond
        return ", at least \(Format.seconds(seconds)) each"
    }
}
