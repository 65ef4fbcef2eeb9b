internal import TesseraMachine
internal import TesseraWeightFile

/// How streamed weights are read, and how fast that was when it was chosen.
public struct ReadingPace: Sendable, Equatable {
    public var method: InputMethod
    public var bytesPerSecond: Double

    public init(method: InputMethod, bytesPerSecond: Double) {
        (self.method, self.bytesPerSecond) = (method, bytesPerSecond)
    }
}

/// Keeps a measured pace from one run to the next. To measure takes time and drops the measured bytes
/// from the page cache.
public struct PaceMemory: Sendable {
    /// The pace of this file, read in this way; nil if it was never measured.
    public var recall: @Sendable () -> ReadingPace?
    public var remember: @Sendable (ReadingPace) -> Void

    public init(
        recall: @escaping @Sendable () -> ReadingPace?,
        remember: @escaping @Sendable (ReadingPace) -> Void
    ) {
        (self.recall, self.remember) = (recall, remember)
    }

    /// Measures every time.
    public static let none = PaceMemory(recall: { nil }, remember: { _ in })
}

/// A way of reading, chosen by the user or by measurement.
struct InputChoice {
    /// Reads under way at a time: enough for a disk to be busy, few enough to stay in order.
    static let threads = 8
    /// Rounds in which each method reads in turn, since disks shared with others change their pace;
    private static let rounds = 3
    /// bytes read in a turn, and seconds after which fewer must do.
    private static let sampleBytes = 32 << 20
    private static let sampleSeconds = 0.3

    let pace: ReadingPace

    /// Finds the pace of the method that is wanted, or of the fastest.
    init(
        _ file: WeightFile, _ wanted: InputMethod, _ segments: [Segment], slots: Int,
        slotBytes: Int
    ) throws(ResidencyError) {
        file.readAhead(false)
        var trials: [Trial] = []
        for method in wanted == .auto ? [.direct, .buffered, .mapped] : [wanted] {
            let reader = try Self.reader(file, method, slots: slots, slotBytes: slotBytes)
            let isAsked = (reader as? CopyingReader).map { $0.isDirect == (method == .direct) }
            guard wanted != .auto || isAsked ?? true else { continue }
            trials.append(Trial(method: method, reader: reader))
        }
        let turns = Self.rounds * trials.count
        let count = max(1, min(segments.count / turns, Self.sampleBytes / slotBytes))
        for turn in 0..<turns {
            let first = min(turn * count, segments.count - count)
            let sample = segments[first..<first + count]
            let (total, seconds) = Self.read(
                sample, trials[turn % trials.count].reader, slots, file)
            trials[turn % trials.count].add(total, seconds: seconds)
        }
        let working = trials.filter { $0.failure == nil && $0.bytes > 0 }
        guard var best = working.first else { throw trials.first?.failure ?? .noThreads }
        // Reads past the page cache leave alone what stays in it: others must be clearly faster.
        for trial in working where trial.rate > 1.25 * best.rate { best = trial }
        pace = ReadingPace(method: best.method, bytesPerSecond: best.rate)
    }

    /// One method and the bytes that it has read.
    fileprivate struct Trial {
        var method: InputMethod
        var reader: any TileReader
        var bytes = 0
        var seconds = 0.0
        var failure: ResidencyError?
        var rate: Double { Double(bytes) / max(seconds, 1e-9) }

        mutating func add(_ sample: SampleTotal, seconds: Double) {
            bytes += sample.bytes
            self.seconds += seconds
            failure = failure ?? sample.failure
        }
    }

    static func reader(
        _ file: WeightFile, _ method: InputMethod, slots: Int, slotBytes: Int
    ) throws(ResidencyError) -> any TileReader {
        if method == .mapped { return try MappedReader(file) }
        return try CopyingReader(
            file, direct: method == .direct, slots: slots, slotBytes: slotBytes)
    }

    /// Reads these segments once, by as many threads as a pass uses.
    private static func read(
        _ segments: ArraySlice<Segment>, _ reader: any TileReader, _ slots: Int, _ file: WeightFile
    ) -> (SampleTotal, seconds: Double) {
        forget(segments, file)
        let readers = min(threads, slots)
        let start = ContinuousClock.now
        let deadline = start.advanced(by: .seconds(sampleSeconds))
        let monitor = Monitor()
        let total = SampleTotal()
        let work: @Sendable (Int) -> Void = { slot in
            for index in stride(
                from: segments.startIndex + slot, to: segments.endIndex, by: readers)
            {
                if ContinuousClock.now > deadline { return }
                let bytes = segments[index].bytes
                let result = unsafe reader.read(bytes, slot: slot)
                reader.release(bytes, slot: slot)
                monitor.locked { unsafe total.add(bytes.count, result) }
                if case .failure = unsafe result { return }
            }
        }
        let started = (1..<readers).compactMap { slot in WorkerThread { work(slot) } }
        work(0)
        for thread in started { thread.join() }
        return (total, (ContinuousClock.now - start).seconds)
    }

    /// Drops these segments from the page cache, so that the disk is measured.
    private static func forget(_ segments: ArraySlice<Segment>, _ file: WeightFile) {
        guard let opened = try? ReadableFile(file.descriptorPath) else { return }
        for segment in segments { opened.forget(segment.bytes) }
    }
}

/// Bytes read so far; guarded by a monitor.
private final class SampleTotal: @unchecked Sendable {
    var bytes = 0
    var failure: ResidencyError?

    func add(_ count: Int, _ result: Result<UnsafeRawPointer, ResidencyError>) {
        switch unsafe result {
        case .success: bytes += count
        case .failure(let error): failure = failure ?? error
        }
    }
}
