internal import TesseraKernels
internal import TesseraTransformer
internal import TesseraWeightFile

/// What a profile measures.
public struct ProfileOptions: Sendable, Equatable {
    /// Texts in each pass.
    public var sequences = 1
    /// Source of the drafts that passes verify; nil: there are no drafts.
    public var draft: Draft?
    /// Sizes of passes, each 1 or more: positions of each text, drafted ones included.
    public var positions = [1, 2, 4, 8, 16, 32]
    /// Positions cached before a pass, each 0 or more.
    public var contexts = [0]
    public var kind = Kind.causal
    public var logits = Logits.last
    /// Timed passes of each size; nil: as many as a time budget holds.
    public var repetitions: Int?
    /// Seconds to go on for, all sizes in turn, instead of a number of repetitions.
    public var duration: Double?
    /// Untimed passes of each size before the timed ones.
    public var warmUp = 1
    /// Also runs passes whose steps are recorded.
    public var recordsOperations = false

    public init() {}

    /// How the positions of a pass see each other.
    public enum Kind: String, Sendable, CaseIterable {
        /// Committed tokens, each seeing those before it.
        case causal
        /// A block that is not decided yet, each position seeing all others.
        case open
    }

    /// Positions whose logits a pass computes.
    public enum Logits: String, Sendable, CaseIterable {
        case last, all, none
    }

    /// Sources of drafts. Those of a second model are verified by passes like those of looked-up ones.
    public enum Draft: String, Sendable, CaseIterable {
        /// A token, and drafted ones after it.
        case lookup
        /// A token, and masks after it that make the next draft.
        case masks
    }

    /// Positions of one text whose logits a pass computes.
    ///
    /// - Parameter count: Positions of the text.
    func rows(_ count: Int) -> [Int] {
        switch draft {
        case .lookup: return Array(0..<count)
        case .masks: return [0] + Array((0..<count).dropFirst(2))
        case nil: break
        }
        switch logits {
        case .last: return [count - 1]
        case .all: return Array(0..<count)
        case .none: return []
        }
    }

    /// Open tokens of one text with this many positions.
    func openCount(_ count: Int) -> Int {
        draft == .masks ? count - 1 : kind == .open ? count : 0
    }

    /// Rows of logits of a pass over this many positions of all texts.
    public func logitRows(positions: Int) -> Int { sequences * rows(positions / sequences).count }

    /// Rows of logits that the transformer must hold.
    public var logitCapacity: Int {
        max(1, logitRows(positions: sequences * (positions.max() ?? 1)))
    }

    /// A description of the passes, for people.
    var passes: String {
        let texts = sequences == 1 ? "" : "\(sequences) texts in each, "
        guard let draft else { return texts + "\(kind.rawValue), logits \(logits.rawValue)" }
        return texts + "a token and what \(draft == .masks ? "masks" : "a lookup") drafted after it"
    }

    /// Positions that the cache must hold, so that nothing is evicted while measuring.
    public var contextLength: Int { max(16, (contexts.max() ?? 0) + (positions.max() ?? 1)) }

    /// Seconds spent on each size of pass, and the least and most repetitions, by default.
    static let secondsPerSize = 2.0
    static let fewest = 3
    static let most = 50

    /// Refuses options that cannot be measured with `sequence`.
    func check(for sequence: TokenSequence) throws(ProfilingError) {
        guard !positions.isEmpty, positions.allSatisfy({ (1...1 << 16).contains($0) }) else {
            throw .badPasses(positions)
        }
        guard !contexts.isEmpty, contexts.allSatisfy({ (0...1 << 24).contains($0) }) else {
            throw .badContexts(contexts)
        }
        guard (1...64).contains(sequences) else { throw .badSequences(sequences) }
        guard draft != .masks || sequence.config.blockDecoding != nil else { throw .noMasks }
        let largest = positions.max() ?? 1
        guard openCount(largest) <= sequence.batchCapacity else {
            throw .openTooLarge(largest, capacity: sequence.batchCapacity)
        }
        let available = sequence.contextLength
        guard contextLength <= available else {
            throw .contextTooShort(needed: contextLength, available: available)
        }
    }
}

/// Why something cannot be profiled.
public enum ProfilingError: Error, Equatable, CustomStringConvertible {
    case badPasses([Int])
    case badContexts([Int])
    case badSequences(Int)
    /// The model knows no mask token.
    case noMasks
    case openTooLarge(Int, capacity: Int)
    case contextTooShort(needed: Int, available: Int)
    /// A file that cannot be read, with `errno`.
    case unreadable(String, code: Int32)
    case emptyFile(String)
    /// A file that holds no saved profile, and why.
    case notAProfile(String, String)
    /// A file that holds no description of a machine.
    case notAMachine(String)
    /// Threads to predict for, and those whose limits are known.
    case unknownThreads(Int, measured: [Int])
    /// Stopped before anything was measured.
    case cancelled

    public var description: String {
        switch self {
        case .badPasses(let sizes): "--passes takes sizes of 1 to 65536 positions, not \(sizes)"
        case .badContexts(let sizes): "--context takes 0 to \(1 << 24) positions, not \(sizes)"
        case .badSequences(let count): "--parallel takes 1 to 64 texts, not \(count)"
        case .noMasks: "--draft masks: this model was not trained with a mask token"
        case .openTooLarge(let size, let capacity):
            "an open block has at most \(capacity) positions, not \(size)"
        case .contextTooShort(let needed, let available):
            "these passes need a cache of \(needed) positions, not \(available); leave --ctx out"
        case .unreadable(let path, 0): "\(path): cannot be read"
        case .unreadable(let path, let code): "\(path): cannot be read (error \(code))"
        case .emptyFile(let path): "\(path): nothing to read"
        case .notAProfile(let path, let reason):
            "\(path): not what 'tessera profile --json' prints (\(reason))"
        case .notAMachine(let path): "\(path): not what 'tessera doctor --json' prints"
        case .unknownThreads(let threads, let measured):
            "no limits are known for \(threads) threads, only for "
                + measured.map(String.init).joined(separator: ", ")
        case .cancelled: "stopped before anything was measured"
        }
    }
}
