internal import TesseraCKernels
internal import Glibc
internal import TesseraMachine

/// Why the kernels could not be set up.
public enum KernelError: Error, Equatable, CustomStringConvertible {
    /// No table of that name runs here.
    case unknownISA(String, available: [String])
    /// Threads or their memory could not be had.
    case noThreads(Int)

    public var description: String {
        switch self {
        case .unknownISA(let name, let available):
            "instruction set '\(name)' is not available here; choose one of "
                + available.joined(separator: ", ")
        case .noThreads(let count):
            "could not start a pool of \(count) threads; try a smaller --threads"
        }
    }
}

/// One instruction set's kernels and the threads that run them. Every operation of a pass is a
/// method; none allocates, and one runs at a time.
@safe public final class Compute: @unchecked Sendable {
    /// Name of the table in use, e.g. `avx2`.
    public let isa: String
    /// Threads that take part, the caller's own included.
    public var threads: Int { unsafe tsr_pool_threads(raw.pool) }
    private let scratch: Buffer<Float>
    private let partials: Buffer<Float>
    private let notFinite: Buffer<UInt64>
    let raw: tsr_compute

    private let scratchFloats: Int
    /// Largest coded tile, when plain, that there is room for.
    public let decodedTileBytes: Int

    /// Floats of scratch per thread at least: attention over heads of 128 with up to 64 query heads
    /// per kv head.
    private static let leastScratchFloats = 80 << 10
    /// Floats per thread for attention whose slots are shared out: 4 parts of 64 heads of 128.
    private static let partialFloats = 4 * 64 * 130

    /// About what each thread takes: its scratch and its stack.
    public static let threadBytes = 4 * (leastScratchFloats + partialFloats) + 128 << 10

    /// - Parameters:
    ///   - isa: A name of ``availableISAs``; by default `TESSERA_ISA`, or the fastest.
    ///   - threads: By default the processors this process may use.
    ///   - groupHeads: Most query heads per kv head that will be attended with, and
    ///   - headDim: their size; both at least what most models have.
    ///   - tileBytes: Plain bytes of the largest coded tile; 0 where no matrix is coded.
    public init(
        isa: String? = nil, threads: Int? = nil, groupHeads: Int = 1, headDim: Int = 1,
        tileBytes: Int = 0
    ) throws(KernelError) {
        let wanted = isa ?? Self.environment("TESSERA_ISA")
        let tables = unsafe Self.tables()
        var choice = unsafe tables[0]
        if let wanted {
            guard let found = unsafe tables.first(where: { unsafe Self.name(of: $0) == wanted })
            else { throw .unknownISA(wanted, available: Self.availableISAs) }
            unsafe choice = found
        }
        let count = threads ?? Processors.usable
        Niceness.followMainThread()
        guard count > 0, let pool = unsafe tsr_pool_create(count) else { throw .noThreads(count) }
        self.isa = unsafe Self.name(of: choice)
        let started = unsafe tsr_pool_threads(pool)
        scratchFloats = max(
            Self.leastScratchFloats, (tsr_attention_scratch(groupHeads, headDim) + 15) / 16 * 16)
        scratch = Buffer(count: started * scratchFloats)
        partials = Buffer(count: started > 1 ? started * Self.partialFloats : 0)
        notFinite = Buffer(count: started)
        decodedTileBytes = tileBytes
        let decoders =
            tileBytes > 0 ? unsafe tsr_decoders_create(choice, started, tileBytes) : nil
        guard unsafe tileBytes == 0 || decoders != nil else {
            unsafe tsr_pool_destroy(pool)
            throw .noThreads(count)
        }
        unsafe raw = tsr_compute(
            kernels: choice, pool: pool, decoders: decoders, scratch: scratch.pointer,
            scratch_floats: scratchFloats, partials: partials.pointer,
            partial_floats: partials.count, not_finite: notFinite.pointer)
    }

    deinit {
        unsafe tsr_pool_destroy(raw.pool)
        if let decoders = unsafe raw.decoders { unsafe tsr_decoders_destroy(decoders) }
    }

    /// Chooses between the calling thread alone and all threads. No result depends on it.
    public func workAlone(_ alone: Bool) { unsafe tsr_pool_work_alone(raw.pool, alone) }

    /// Whether a coded tile was found to be damaged: products since then must not be used.
    public var hasSeenDamage: Bool {
        guard let decoders = unsafe raw.decoders else { return false }
        return unsafe tsr_decoders_failed(decoders)
    }

    /// How many groups of activations, queries and rows of the cache held a value that is not finite, or
    /// that the cache's numbers do not reach, since the last call. They were taken for zeros: results
    /// since then are not to be used.
    public func takeNotFinite() -> Int {
        var total: UInt64 = 0
        for index in 0..<notFinite.count where notFinite[index] > 0 {
            total += notFinite[index]
            notFinite[index] = 0
        }
        return Int(clamping: total)
    }

    /// Whether there is room to decode coded tiles; only models with coded tiles ask for it.
    public var decodesTiles: Bool { decodedTileBytes > 0 }

    /// Whether tiles of a trellis are multiplied as they are stored: nothing is gained by decoding them ahead.
    public var multipliesStrands: Bool { unsafe raw.kernels.pointee.strands != nil }

    /// Seconds that decoding coded tiles took since the last call, all threads together.
    public func takeDecodingSeconds() -> Double {
        guard let decoders = unsafe raw.decoders else { return 0 }
        return unsafe Double(tsr_decoders_take_nanoseconds(decoders)) * 1e-9
    }

    /// Names of the tables this processor can run, fastest first.
    public static var availableISAs: [String] { unsafe tables().map { unsafe name(of: $0) } }

    private static func tables() -> [UnsafePointer<tsr_kernels>] {
        unsafe [
            tsr_kernels_avx512vnni(), tsr_kernels_avxvnni(), tsr_kernels_avx2(),
            tsr_kernels_i8mm(), tsr_kernels_neon(), tsr_kernels_scalar(),
        ].compactMap { unsafe $0 }
    }

    private static func name(of table: UnsafePointer<tsr_kernels>) -> String {
        unsafe String(cString: table.pointee.name)
    }

    private static func environment(_ key: String) -> String? {
        guard let value = unsafe getenv(key) else { return nil }
        return unsafe String(cString: value)
    }

    /// Calls `body` with the argument of the C functions.
    func withRaw<R>(_ body: (UnsafePointer<tsr_compute>) -> R) -> R {
        unsafe withUnsafePointer(to: raw) { unsafe body($0) }
    }

    func checkScratch(groupHeads: Int, headDim: Int) {
        let needed = tsr_attention_scratch(groupHeads, headDim)
        precondition(
            needed <= scratchFloats,
            "\(groupHeads) query heads of \(headDim) per kv head: more than init was told of")
    }
}
