/// Which weights of a model stay in memory and which are read in each pass; made before anything is loaded.
///
/// A cyclic scan that is larger than memory finds nothing in the page cache, which keeps the pages that were
/// read last. A fixed part kept in memory is found every time. The same share of every matrix is kept,
/// so that each step has products to compute while its other tiles are read.
public struct ResidencyPlan: Sendable, Equatable {
    /// A matrix that every pass reads.
    public struct Item: Sendable, Equatable {
        public var name: String
        /// Stored bytes of each tile, in file order.
        public var tiles: [Int]
        /// Bytes of a tile when decoded; 0 where none will be before it is multiplied.
        public var plainTileBytes: Int
        /// How many of them, from the first, stay in memory.
        public internal(set) var hotTiles = 0
        /// How many of those are decoded before the first pass, so that no pass has to.
        public internal(set) var decodedTiles = 0

        public init(name: String, tiles: [Int], plainTileBytes: Int = 0) {
            self.name = name
            self.tiles = tiles
            self.plainTileBytes = plainTileBytes
        }

        public var bytes: Int { tiles.reduce(0, +) }
        public var hotBytes: Int { tiles[..<hotTiles].reduce(0, +) }
        /// Bytes that the staying tiles take in memory.
        var heldBytes: Int {
            decodedTiles * plainTileBytes + tiles[decodedTiles..<hotTiles].reduce(0, +)
        }
    }

    /// Bytes of everything except weights.
    public struct Needs: Sendable, Equatable {
        /// Keys and values.
        public var cache: Int
        /// Activations and logits.
        public var scratch: Int
        /// Program, tokenizer, stacks.
        public var base: Int

        public init(cache: Int, scratch: Int, base: Int) {
            self.cache = cache
            self.scratch = scratch
            self.base = base
        }

        public var total: Int { cache + scratch + base }
    }

    /// In the order of a pass.
    public internal(set) var items: [Item]
    public let budget: MemoryBudget
    public let needs: Needs
    /// Weights that are used from the mapping whatever the plan: floats, and what is small.
    public let mappedBytes: Int
    /// Size of the window through which tiles are streamed; 0 where all stay.
    public private(set) var windowBytes = 0

    /// Streamed at a time, unless one tile is larger.
    let segmentBytes: Int

    /// - Parameters:
    ///   - items: In the order of a pass.
    ///   - mappedBytes: Weights that stay whatever the plan.
    public init(
        items: [Item], mappedBytes: Int, needs: Needs, budget: MemoryBudget
    ) throws(ResidencyError) {
        self.items = items
        self.budget = budget
        self.needs = needs
        self.mappedBytes = mappedBytes
        for index in items.indices { self.items[index].decodedTiles = 0 }
        let total = items.reduce(0) { $0 + $1.bytes }
        segmentBytes = min(1 << 20, max(64 << 10, total / 256))
        let slack = Self.slack(total)
        let free = budget.bytes - needs.total - mappedBytes - slack
        if total <= free {
            for index in items.indices { self.items[index].hotTiles = items[index].tiles.count }
            return
        }
        let least = 4 * segment
        windowBytes = window(free: free)
        guard free >= least else {
            throw .tooLittle(
                budget, needed: needs.total + mappedBytes + slack + least)
        }
        keep(free - windowBytes)
    }

    /// Bytes of a slot of the window: a segment and the pages at both ends.
    private var segment: Int {
        max(segmentBytes, items.reduce(0) { max($0, $1.tiles.max() ?? 0) }) + 8192
    }

    /// A window that suits the memory that is left for weights.
    private func window(free: Int) -> Int {
        let size = min(64 * segment, max(16 * segment, free / 16 / segment * segment))
        return free < size + segment ? 4 * segment : size
    }

    /// The same for another budget.
    func refitted(to budget: MemoryBudget) throws(ResidencyError) -> ResidencyPlan {
        try ResidencyPlan(items: items, mappedBytes: mappedBytes, needs: needs, budget: budget)
    }

    /// Bytes that regions and lists of tiles take by rounding up.
    private static func slack(_ bytes: Int) -> Int { min(8 << 20, bytes / 64) }

    /// The most bytes of weights that all stay, if `free` bytes are left for them.
    ///
    /// - Parameter free: Bytes that a budget leaves after ``Needs``.
    public static func residentWeights(in free: Int) -> Int {
        max(0, max(free - (8 << 20), free / 65 * 64))
    }

    /// Bytes for weights and, where some are streamed, the window.
    var free: Int {
        let total = items.reduce(0) { $0 + $1.bytes }
        return budget.bytes - needs.total - mappedBytes - Self.slack(total)
    }

    /// Keeps as many tiles as there is room for after the decoded ones.
    mutating func keepRest() {
        let held = items.reduce(0) { $0 + $1.decodedTiles * $1.plainTileBytes }
        windowBytes = 0
        keep(free - held)
        guard !isResident else { return }
        windowBytes = window(free: free)
        keep(max(0, free - held - windowBytes))
    }

    /// Marks as many tiles after the decoded ones as `bytes` hold, the same share of each matrix's bytes.
    private mutating func keep(_ bytes: Int) {
        let rests = items.map { $0.bytes - $0.tiles[..<$0.decodedTiles].reduce(0, +) }
        let share = min(1, Double(max(0, bytes)) / Double(max(1, rests.reduce(0, +))))
        var left = bytes
        for index in items.indices {
            let item = items[index]
            var room = share == 1 ? rests[index] : Int(share * Double(rests[index]))
            let kept = item.tiles[item.decodedTiles...].prefix { tile in
                room -= tile
                return room >= 0
            }
            items[index].hotTiles = item.decodedTiles + kept.count
            left -= kept.reduce(0, +)
        }
        for index in items.indices where items[index].hotTiles < items[index].tiles.count {
            let next = items[index].tiles[items[index].hotTiles]
            guard next <= left else { continue }
            items[index].hotTiles += 1
            left -= next
        }
    }

    public var weightBytes: Int { items.reduce(mappedBytes) { $0 + $1.bytes } }
    /// Bytes kept in memory, or used from the mapping.
    public var hotBytes: Int { items.reduce(mappedBytes) { $0 + $1.hotBytes } }
    /// Bytes read in every pass that ends in logits.
    public var streamedBytes: Int { weightBytes - hotBytes }
    /// Whether every weight stays; then all are used from the mapping, and nothing is copied.
    public var isResident: Bool { streamedBytes == 0 }
    /// Share of a pass's weights that are found in memory.
    public var hitRate: Double {
        weightBytes == 0 ? 1 : Double(hotBytes) / Double(weightBytes)
    }
    /// Bytes of memory that hold them, some of them decoded.
    public var heldBytes: Int { items.reduce(mappedBytes) { $0 + $1.heldBytes } }
    /// Bytes of those that are decoded before the first pass, decoded.
    public var decodedBytes: Int {
        items.reduce(0) { $0 + $1.decodedTiles * $1.plainTileBytes }
    }
    /// Bytes that stay in the mapping as they are; the kernel may drop them.
    var mappedHotBytes: Int { heldBytes - decodedBytes }
    /// Whether some are decoded before the first pass.
    public var decodesAhead: Bool { items.contains { $0.decodedTiles > 0 } }
    /// All bytes that this process will hold.
    public var totalBytes: Int { needs.total + heldBytes + windowBytes }
}
