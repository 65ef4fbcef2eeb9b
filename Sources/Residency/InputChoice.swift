internal import WeightFile

#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// A way of reading, chosen by the user or by measurement.
struct InputChoice {
    /// Reads under way at a time: enough for a disk to be busy, few enough to stay in order.
    static let threads = 4
    /// Bytes read with each method to find the fastest.
    private static let sampleBytes = 48 << 20

    let method: InputMethod
    let reader: any TileReader

    init(
        _ file: WeightFile, _ wanted: InputMethod, _ segments: [Segment], slots: Int,
        slotBytes: Int
    ) throws(ResidencyError) {
        func make(_ method: InputMethod) throws(ResidencyError) -> any TileReader {
            if method == .mapped { return try MappedReader(file) }
            return try CopyingReader(
                file, direct: method == .direct, slots: slots, slotBytes: slotBytes)
        }
        guard wanted == .auto else {
            (method, reader) = (wanted, try make(wanted))
            return
        }
        var best: (method: InputMethod, reader: any TileReader, rate: Double)?
        var first = 0
        for candidate in [InputMethod.direct, .buffered, .mapped] {
            let reader = try make(candidate)
            if candidate == .direct, (reader as? CopyingReader)?.isDirect == false { continue }
            let count = max(1, min(segments.count / 3, Self.sampleBytes / slotBytes))
            let rate = Self.rate(reader, segments[first..<first + count], slots: slots, file)
            first = min(first + count, segments.count - count)
            // Reads past the page cache disturb nobody: others must be clearly faster.
            if best.map({ rate > 1.15 * $0.rate }) ?? true { best = (candidate, reader, rate) }
        }
        guard let best else { throw .noThreads }
        (method, reader) = (best.method, best.reader)
    }

    /// Bytes per second of reading these segments once, by as many threads as a pass uses.
    private static func rate(
        _ reader: any TileReader, _ segments: ArraySlice<Segment>, slots: Int, _ file: WeightFile
    ) -> Double {
        forget(segments, file)
        let readers = min(threads, slots)
        let start = ContinuousClock.now
        let monitor = Monitor()
        let total = SampleTotal()
        let work: @Sendable (Int) -> Void = { slot in
            for index in stride(
                from: segments.startIndex + slot, to: segments.endIndex, by: readers)
            {
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
