internal import TesseraResidency
public import TesseraTransformer

/// One step of one pass.
public struct PassStep: Sendable, Equatable {
    public var operation: PassOperation
    public var layer: Int
    /// Nanoseconds of the monotonic clock.
    public var start: UInt64
    public var end: UInt64
    /// Nanoseconds of it that waited for weights from disk.
    public var waiting: UInt64 = 0
    /// Nanoseconds of it that decoded coded tiles: those of all threads, divided by their number.
    public var decoding: UInt64 = 0

    public init(operation: PassOperation, layer: Int, start: UInt64, end: UInt64) {
        self.operation = operation
        self.layer = layer
        self.start = start
        self.end = end
    }

    /// Notes nanoseconds of waiting and decoding; counters may tell more than the step took.
    mutating func split(waiting: Double, decoding: Double) {
        self.waiting = min(end - start, UInt64(waiting))
        self.decoding = min(end - start - self.waiting, UInt64(decoding))
    }

    /// Nanoseconds of the step proper.
    public var working: UInt64 { end - start - waiting - decoding }
}

/// One read of streamed weights; times are nanoseconds of the monotonic clock.
public struct PassRead: Sendable, Equatable {
    /// Number of the reading thread, from 0.
    public var thread: Int
    public var bytes: Int
    public var start: UInt64
    public var end: UInt64

    public init(thread: Int, bytes: Int, start: UInt64, end: UInt64) {
        (self.thread, self.bytes, self.start, self.end) = (thread, bytes, start, end)
    }

    /// - Parameter now: One moment on both clocks.
    init(_ read: StreamRead, now: (ContinuousClock.Instant, UInt64)) {
        func place(_ instant: ContinuousClock.Instant) -> UInt64 {
            let (seconds, attoseconds) = (now.0 - instant).components
            return now.1 - UInt64(max(0, seconds * 1_000_000_000 + attoseconds / 1_000_000_000))
        }
        self.init(
            thread: read.thread, bytes: read.bytes, start: place(read.start), end: place(read.end))
    }
}
