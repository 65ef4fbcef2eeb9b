internal import TesseraKernels
internal import TesseraMachine

/// Tiles that are read together: some consecutive ones of one matrix.
struct Segment {
    var tiles: Range<Int>
    /// In the file.
    var bytes: Range<Int>
}

/// Brings the streamed tiles of a model into a window, pass after pass in the same order, ahead of
/// their use. Threads of its own read; one other thread waits for segments and releases them.
///
/// Segments are counted through all passes: number n is segment n modulo their count, and lies in
/// slot n modulo the number of slots.
@safe final class TileStream: @unchecked Sendable {
    let segments: [Segment]
    private let reader: any TileReader
    private let monitor = Monitor()
    private var threads: [WorkerThread] = []
    private let slotCount: Int
    // All below is guarded by the monitor.
    private var claimed = 0
    private var released = 0
    private var contents: [Int?]
    private var addresses: [UnsafeRawPointer?]
    private var isBusy: [Bool]
    private var failure: ResidencyError?
    private var isStopping = false
    private var counters = StreamCounters()
    private var isNotingReads = false

    /// - Parameter slots: Segments in the window; at least 2.
    init(
        _ segments: [Segment], reader: any TileReader, slots: Int, threads count: Int
    ) throws(ResidencyError) {
        precondition(!segments.isEmpty && slots >= 2, "\(segments.count) segments, \(slots) slots")
        self.segments = segments
        self.reader = reader
        slotCount = slots
        contents = Array(repeating: nil, count: slots)
        unsafe addresses = Array(repeating: nil, count: slots)
        isBusy = Array(repeating: false, count: slots)
        for index in 0..<count {
            guard let thread = WorkerThread({ [unowned self] in read(thread: index) }) else {
                break
            }
            threads.append(thread)
        }
        guard !threads.isEmpty else { throw .noThreads }
    }

    /// Ends the threads; must be called before the last reference goes.
    func stop() {
        monitor.locked {
            isStopping = true
            monitor.signal()
        }
        for thread in threads { thread.join() }
        threads = []
    }

    /// The counters since the last call, which are then reset.
    func takeCounters() -> StreamCounters {
        monitor.locked {
            defer { counters = StreamCounters() }
            return counters
        }
    }

    /// Whether counters also hold every single read.
    func noteReads(_ isOn: Bool) { monitor.locked { isNotingReads = isOn } }

    /// The work of a reading thread: it claims the next segment whose slot is free, and reads it.
    private func read(thread: Int) {
        while let (number, previous) = claim() {
            let segment = segments[number % segments.count]
            let slot = number % slotCount
            if let previous {
                reader.release(segments[previous % segments.count].bytes, slot: slot)
            }
            let start = ContinuousClock.now
            let result = unsafe reader.read(segment.bytes, slot: slot)
            let end = ContinuousClock.now
            monitor.locked {
                isBusy[slot] = false
                switch unsafe result {
                case .success(let address):
                    unsafe addresses[slot] = address
                    contents[slot] = number
                    counters.bytes += segment.bytes.count
                    if isNotingReads {
                        counters.reads.append(
                            StreamRead(
                                thread: thread, bytes: segment.bytes.count, start: start, end: end))
                    }
                case .failure(let error): failure = failure ?? error
                }
                monitor.signal()
            }
        }
    }

    private func claim() -> (number: Int, previous: Int?)? {
        monitor.locked {
            while true {
                if isStopping || failure != nil { return nil }
                let slot = claimed % slotCount
                if claimed < released + slotCount && !isBusy[slot] {
                    defer {
                        isBusy[slot] = true
                        contents[slot] = nil
                        claimed += 1
                    }
                    return (claimed, contents[slot])
                }
                monitor.wait()
            }
        }
    }

    /// Number of the next use of segment `index`; segments before it are given up.
    func skip(to index: Int) -> Int {
        monitor.locked {
            let lead = index - released % segments.count
            let number = released + (lead >= 0 ? lead : lead + segments.count)
            if number > released {
                released = number
                claimed = max(claimed, number)
                monitor.signal()
            }
            return number
        }
    }

    /// Waits for segment `number` and says how many from it on, at most `most`, are there too.
    func wait(for number: Int, most: Int) -> Result<Int, ResidencyError> {
        monitor.locked {
            if contents[number % slotCount] != number && failure == nil {
                let start = ContinuousClock.now
                while contents[number % slotCount] != number && failure == nil { monitor.wait() }
                counters.waitSeconds += (ContinuousClock.now - start).seconds
            }
            if contents[number % slotCount] != number, let failure { return .failure(failure) }
            var count = 1
            while count < most && contents[(number + count) % slotCount] == number + count {
                count += 1
            }
            return .success(count)
        }
    }

    /// Where the first byte of segment `number` is, after waiting for it and until its release.
    func address(of number: Int) -> UnsafeRawPointer {
        unsafe monitor.locked {
            guard contents[number % slotCount] == number,
                let address = unsafe addresses[number % slotCount]
            else { preconditionFailure("segment \(number) is not there") }
            return unsafe address
        }
    }

    /// Segments below `number` are not used any more.
    func release(below number: Int) {
        monitor.locked {
            released = max(released, number)
            monitor.signal()
        }
    }
}

/// Counts of what was streamed.
public struct StreamCounters: Sendable, Equatable {
    /// Bytes read from the file.
    public var bytes = 0
    /// Time in which products waited for tiles.
    public var waitSeconds = 0.0
    /// Every read that ended, if the caller asked for them.
    public var reads: [StreamRead] = []
    public init() {}

    public static func + (a: StreamCounters, b: StreamCounters) -> StreamCounters {
        var sum = a
        sum.bytes += b.bytes
        sum.waitSeconds += b.waitSeconds
        sum.reads += b.reads
        return sum
    }
}

/// One read by one of the reading threads.
public struct StreamRead: Sendable, Equatable {
    /// Number of the reading thread, from 0.
    public var thread: Int
    public var bytes: Int
    public var start: ContinuousClock.Instant
    public var end: ContinuousClock.Instant

    public init(
        thread: Int, bytes: Int, start: ContinuousClock.Instant, end: ContinuousClock.Instant
    ) {
        (self.thread, self.bytes, self.start, self.end) = (thread, bytes, start, end)
    }
}
