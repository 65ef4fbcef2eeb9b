internal import WeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// How streamed weights are read, and how fast that was when it was chosen.
public struct ReadingPace: Sendable, Equatable {
    public var method: InputMethod
    public var bytesPerSecond: Double
}

/// A way of reading, chosen by the user or by measurement.
struct InputChoice {
    /// Reads under way at a time: enough for a disk to be busy, few enough to stay in order.
    static let threads = 8
    /// Bytes read with each method to find the fastest, and seconds after which fewer must do.
    private static let sampleBytes = 96 << 20
    private static let sampleSeconds = 0.5

    let pace: ReadingPace
    let reader: any TileReader

    init(
        _ file: WeightFile, _ wanted: InputMethod, _ segments: [Segment], slots: Int,
        slotBytes: Int
    ) throws(ResidencyError) {
        var best: (pace: ReadingPace, reader: any TileReader)?
        var first = 0
        let methods = wanted == .auto ? [.direct, .buffered, .mapped] : [wanted]
        for method in methods {
            let reader = try Self.reader(file, method, slots: slots, slotBytes: slotBytes)
            if wanted == .auto, method == .direct, (reader as? CopyingReader)?.isDirect == false {
                continue
            }
            let count = max(1, min(segments.count / methods.count, Self.sampleBytes / slotBytes))
            let rate = Self.rate(reader, segments[first..<first + count], slots: slots, file)
            first = min(first + count, segments.count - count)
            // Reads past the page cache disturb nobody: others must be clearly faster.
            if best.map({ rate > 1.15 * $0.pace.bytesPerSecond }) ?? true {
                best = (ReadingPace(method: method, bytesPerSecond: rate), reader)
            }
        }
        guard let best else { throw .noThreads }
        (pace, reader) = (best.pace, best.reader)
    }

    static func reader(
        _ file: WeightFile, _ method: InputMethod, slots: Int, slotBytes: Int
    ) throws(ResidencyError) -> any TileReader {
        if method == .mapped { return try MappedReader(file) }
        return try CopyingReader(
            file, direct: method == .direct, slots: slots, slotBytes: slotBytes)
    }

    /// Bytes per second of reading these segments once, by as many threads as a pass uses.
    private static func rate(
        _ reader: any TileReader, _ segments: ArraySlice<Segment>, slots: Int, _ file: WeightFile
    ) -> Double {
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
                if case .success = unsafe reader.read(bytes, slot: slot) {
                    monitor.locked { total.bytes += bytes.count }
                }
                reader.release(bytes, slot: slot)
            }
        }
        let started = (1..<readers).compactMap { slot in WorkerThread { work(slot) } }
        work(0)
        for thread in started { thread.join() }
        let elapsed = (ContinuousClock.now - start).components
        let seconds = Double(elapsed.seconds) + Double(elapsed.attoseconds) * 1e-18
        return Double(total.bytes) / max(seconds, 1e-6)
    }

    /// Drops these segments from the page cache, so that the disk is measured.
    private static func forget(_ segments: ArraySlice<Segment>, _ file: WeightFile) {
        let descriptor = unsafe open(file.descriptorPath, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        for segment in segments {
            posix_fadvise(
                descriptor, off_t(segment.bytes.lowerBound), off_t(segment.bytes.count),
                POSIX_FADV_DONTNEED)
        }
    }
}

/// Bytes read so far; guarded by a monitor.
private final class SampleTotal: @unchecked Sendable {
    var bytes = 0
}
