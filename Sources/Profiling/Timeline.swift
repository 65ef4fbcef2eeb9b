/// The machine at one moment of a profile.
public struct TimelinePoint: Sendable, Equatable {
    /// Nanoseconds of the monotonic clock.
    public var time: UInt64
    /// Since the start.
    public var seconds: Double
    public var load: SystemLoad
    public var residentBytes: Int
    /// Processor time of each thread of this process so far.
    public var threads: [ThreadTime] = []
}

/// Looks at the machine between passes, a few times a second at most.
final class TimelineRecorder {
    private(set) var points: [TimelinePoint] = []
    private let start = nanoseconds()
    private var next: UInt64 = 0
    private var interval: UInt64 = 250_000_000
    /// More than this are thinned out.
    private static let capacity = 600

    /// Takes a point if the last one is old enough.
    func look(always: Bool = false) {
        let now = nanoseconds()
        guard always || now >= next else { return }
        next = now + interval
        points.append(
            TimelinePoint(
                time: now, seconds: Double(now - start) * 1e-9, load: SystemLoad.now(),
                residentBytes: ProcessMemory.resident, threads: ThreadTime.now()))
        if points.count >= Self.capacity {
            points = points.enumerated().filter { $0.offset % 2 == 0 }.map(\.element)
            interval *= 2
        }
    }
}
