public import TesseraKernels
public import TesseraWeightFile

/// The matrices of a model. Their bytes are in the mapping, or on disk until a pass needs them.
public final class WeightStore {
    public private(set) var plan: ResidencyPlan
    /// How streamed tiles are read; nil if all weights stay.
    public private(set) var pace: ReadingPace?
    private let file: WeightFile
    private(set) var stream: TileStream?
    /// Counts the plans made.
    private(set) var version = 0
    private var entries: [String: Entry] = [:]
    private let compute: Compute
    private var decoded: DecodedWeights?
    private let method: InputMethod
    private let notice: (WeightNotice) -> Void
    private var watch: Watch
    private var limits = LimitWatch()
    /// Counters of streams that a new plan has ended.
    private var pending = StreamCounters()
    private var isNotingReads = false

    struct Entry {
        var matrix: Matrix
        var table: TileTable
        var tileRanges: [Range<Int>]
        var hotTiles: Int
        var decodedTiles: Int
        /// Its segments in the stream.
        var segments: Range<Int>
    }

    /// Finds how fast weights can be read and decoded, then fetches what stays in memory.
    ///
    /// - Parameters:
    ///   - plan: Made for this file.
    ///   - compute: Decodes coded tiles.
    ///   - paces: Remembers the pace of an earlier run.
    ///   - loading: Called with the plan and the pace before weights are loaded.
    ///   - notice: Called when something changes between passes.
    public init(
        _ file: WeightFile, plan: ResidencyPlan, compute: Compute, method: InputMethod = .auto,
        paces: PaceMemory = .none,
        loading: (ResidencyPlan, ReadingPace?) -> Void = { _, _ in },
        notice: @escaping (WeightNotice) -> Void = { _ in }
    ) throws(ResidencyError) {
        self.file = file
        self.compute = compute
        self.method = method
        self.notice = notice
        watch = Watch(file)
        (self.plan, pace) = try Self.measured(
            file, plan: plan, compute: compute, method: method, paces: paces)
        loading(self.plan, pace)
        guard !self.plan.isResident || self.plan.decodesAhead else { return }
        makeEntries()
        try start()
    }

    /// Gives every matrix of the plan a table of tiles of its own.
    private func makeEntries() {
        for item in plan.items {
            guard let record = file.tensor(item.name) else { continue }
            let ranges = file.tileRanges(of: record)
            let table = TileTable(count: ranges.count)
            entries[item.name] = Entry(
                matrix: file.matrix(record, tiles: table), table: table, tileRanges: ranges,
                hotTiles: 0, decodedTiles: 0, segments: 0..<0)
        }
    }

    deinit { stream?.stop() }

    /// A plan that takes into account how fast this machine reads and decodes, and how fast the weights
    /// that do not stay can be read; nil if all stay.
    public static func measured(
        _ file: WeightFile, plan: ResidencyPlan, compute: Compute, method: InputMethod = .auto,
        paces: PaceMemory = .none
    ) throws(ResidencyError) -> (plan: ResidencyPlan, pace: ReadingPace?) {
        var plan = plan
        if compute.multipliesStrands {
            plan.leaveCoded { file.tensor($0)?.storage == .trellis }
        }
        let canDecode = plan.hasCodedTiles && plan.budget.isKnown && compute.decodedTileBytes > 0
        guard !plan.isResident || canDecode else { return (plan, nil) }
        let pace = plan.isResident ? nil : try readingPace(file, plan, method, paces)
        guard canDecode else { return (plan, pace) }
        guard let rate = try decodeRate(file, plan, compute) else { throw .damaged }
        let decoding = plan.decodingAhead(readRate: pace?.bytesPerSecond, decodeRate: rate)
        return (decoding, decoding.isResident ? nil : pace)
    }

    /// How fast the weights that do not stay can be read: remembered, or measured now.
    private static func readingPace(
        _ file: WeightFile, _ plan: ResidencyPlan, _ method: InputMethod, _ paces: PaceMemory
    ) throws(ResidencyError) -> ReadingPace {
        if let known = paces.recall() { return known }
        let segments = plan.items.flatMap { item in
            file.tensor(item.name).map {
                plan.segments(file.tileRanges(of: $0), from: item.hotTiles)
            } ?? []
        }
        let size = plan.window(for: segments)
        let pace = try InputChoice(
            file, method, segments, slots: size.slots, slotBytes: size.slotBytes
        ).pace
        paces.remember(pace)
        return pace
    }

    /// Stored bytes per second that this machine decodes, on the largest coded matrix.
    private static func decodeRate(
        _ file: WeightFile, _ plan: ResidencyPlan, _ compute: Compute
    ) throws(ResidencyError) -> Double? {
        let coded = plan.items.filter { $0.plainTileBytes > 0 }
        guard let item = coded.max(by: { $0.bytes < $1.bytes }), let record = file.tensor(item.name)
        else { return nil }
        let ranges = file.tileRanges(of: record)
        let count = min(ranges.count, 64)
        let table = TileTable(count: ranges.count)
        try HotWeights.load(file, [HotWeights.Part(ranges: ranges, tiles: 0..<count, table: table)])
        return DecodedWeights.rate(
            file.matrix(record, tiles: table), count: count,
            storedBytes: ranges[..<count].reduce(0) { $0 + $1.count }, compute)
    }

    /// Marks the tiles that the plan keeps in the entries; returns the pieces of the others.
    private func cut() -> [Segment] {
        version += 1
        var segments: [Segment] = []
        for item in plan.items {
            guard let ranges = entries[item.name]?.tileRanges else { continue }
            let first = segments.count
            segments += plan.segments(ranges, from: item.hotTiles)
            entries[item.name]?.hotTiles = item.hotTiles
            entries[item.name]?.decodedTiles = item.decodedTiles
            entries[item.name]?.segments = first..<segments.count
        }
        return segments
    }

    /// Loads, decodes and streams as the plan says.
    private func start() throws(ResidencyError) {
        let segments = cut()
        let size = plan.window(for: segments)
        file.readAhead(segments.isEmpty)
        var reader: (any TileReader)?
        if let pace, !segments.isEmpty {
            reader = try InputChoice.reader(
                file, pace.method, slots: size.slots, slotBytes: size.slotBytes)
        }
        // In the order of a pass, which is that of the file.
        let kept = plan.items.compactMap { entries[$0.name] }
        if plan.decodesAhead {
            decoded = try DecodedWeights(
                file,
                kept.filter { $0.decodedTiles > 0 }.map {
                    DecodedWeights.Part(
                        matrix: $0.matrix, table: $0.table, ranges: $0.tileRanges,
                        count: $0.decodedTiles)
                }, compute, keepsCache: hasRoomForSources)
        }
        try HotWeights.load(
            file,
            kept.map {
                HotWeights.Part(
                    ranges: $0.tileRanges, tiles: $0.decodedTiles..<$0.hotTiles, table: $0.table)
            })
        guard let reader else { return }
        stream = try TileStream(
            segments, reader: reader, slots: size.slots, threads: InputChoice.threads)
        stream?.noteReads(isNotingReads)
    }

    /// Whether memory has room for the stored form of tiles that are decoded ahead, in addition to the plan:
    /// then they may stay in the page cache.
    private var hasRoomForSources: Bool {
        let stored = plan.items.reduce(0) { $0 + $1.tiles[..<$1.decodedTiles].reduce(0, +) }
        return MemoryBudget.available().bytes >= plan.totalBytes + stored
    }

    /// Call it between passes. It fails if the file has changed, and makes a new plan if a control group now allows
    /// less than the plan takes.
    public func check() throws(ResidencyError) {
        guard watch.isDue() else { return }
        switch watch.change() {
        case .damaged(let reason): throw .lost(reason)
        case .touched(let checked, let all):
            notice(.fileTouched(path: file.path, checked: checked, of: all))
        case nil: break
        }
        guard let (budget, isMust) = limits.budget(instead: plan) else { return }
        do throws(ResidencyError) {
            try refit(to: budget)
            notice(.memoryLowered(plan))
        } catch {
            if isMust { throw .lost("the limit of a control group was lowered: \(error)") }
        }
    }

    /// Keeps less than before, and decodes nothing ahead.
    func refit(to budget: MemoryBudget) throws(ResidencyError) {
        let old = plan
        plan = try old.refitted(to: budget)
        stream?.stop()
        pending = takeCounters()
        (stream, decoded) = (nil, nil)
        pace =
            pace
            ?? ReadingPace(method: method == .auto ? .direct : method, bytesPerSecond: 0)
        if entries.isEmpty { makeEntries() }
        for (item, before) in zip(plan.items, old.items) where item.hotTiles < before.hotTiles {
            guard let ranges = entries[item.name]?.tileRanges else { continue }
            try HotWeights.drop(
                ranges[item.hotTiles..<before.hotTiles], of: file, fromCache: true)
        }
        try start()
    }

    /// The matrices of one step, which multiply the same activations.
    ///
    /// - Parameter names: In the order of the plan, without gaps.
    public func group(_ names: [String]) -> WeightGroup {
        WeightGroup(matrices(names), names: names, store: self)
    }

    func matrices(_ names: [String]) -> MatrixGroup {
        MatrixGroup(names.map { entries[$0]?.matrix ?? file.matrix($0) })
    }

    /// Where not all weights stay, frees pages that were touched only while loading: vectors are copied, and to touch
    /// one brings the pages around it into memory too.
    public func forgetUnused() {
        guard isStreaming else { return }
        var start = file.metadataBytes
        for record in file.tensors {
            guard let hot = hotEnd(of: record.name) else { continue }
            file.unmap(start..<record.offset)
            start = hot
        }
        file.unmap(start..<file.fileBytes)
    }

    /// Whether some weights are read in every pass.
    public var isStreaming: Bool { stream != nil }

    /// End of the tiles of a matrix that stay in the mapping; nil if no tile stays.
    private func hotEnd(of name: String) -> Int? {
        entries[name].flatMap { $0.tileRanges[..<$0.hotTiles].last?.upperBound }
    }

    /// Gives back the memory of rows that were used one by one, where not all weights stay.
    public func forgetRows(of name: String) {
        guard isStreaming, let record = file.tensor(name) else { return }
        file.unmap((hotEnd(of: name) ?? record.offset)..<record.offset + record.byteCount)
    }

    func entry(_ name: String) -> Entry? { entries[name] }

    /// Whether counters also hold every single read.
    public func noteReads(_ isOn: Bool) {
        isNotingReads = isOn
        stream?.noteReads(isOn)
    }

    /// Counters of streaming since the last call.
    public func takeCounters() -> StreamCounters {
        defer { pending = StreamCounters() }
        return pending + (stream?.takeCounters() ?? StreamCounters())
    }
}

extension ResidencyPlan {
    /// Cuts tiles `hot...` of a matrix into pieces to read at a time.
    ///
    /// - Parameter ranges: Ranges of all its tiles in the file.
    func segments(_ ranges: [Range<Int>], from hot: Int) -> [Segment] {
        var segments: [Segment] = []
        var begin = hot
        while begin < ranges.count {
            var end = begin + 1
            let start = ranges[begin].lowerBound
            while end < ranges.count, ranges[end].upperBound - start <= segmentBytes { end += 1 }
            segments.append(
                Segment(tiles: begin..<end, bytes: start..<ranges[end - 1].upperBound))
            begin = end
        }
        return segments
    }

    /// Slots of the window, and the size of each.
    func window(for segments: [Segment]) -> (slots: Int, slotBytes: Int) {
        let bytes = segments.reduce(0) { max($0, $1.bytes.count) } + 2 * CopyingReader.alignment
        return (max(4, windowBytes / bytes), bytes)
    }
}
