/// What of a model stays in memory and what is read in each pass; made before anything is loaded.
///
/// A cyclic scan that is larger than memory finds nothing in a cache of pages, which keeps what was
/// read last. A fixed part kept in memory is found every time. The same share of every matrix is kept,
/// so that each step has products to compute while its other tiles are read.
public struct ResidencyPlan: Sendable, Equatable {
    /// A matrix that every pass reads.
    public struct Item: Sendable, Equatable {
        public var name: String
        /// Stored bytes of each tile, in file order.
        public var tiles: [Int]
        /// How many of them, from the first, stay in memory.
        public var hotTiles = 0

        public init(name: String, tiles: [Int]) {
            self.name = name
            self.tiles = tiles
        }

        public var bytes: Int { tiles.reduce(0, +) }
        public var hotBytes: Int { tiles[..<hotTiles].reduce(0, +) }
    }

    /// Bytes of all that is not weights.
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
    public private(set) var items: [Item]
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
        let total = items.reduce(0) { $0 + $1.bytes }
        segmentBytes = min(2 << 20, max(64 << 10, total / 256))
        let slack = min(8 << 20, total / 64)  // what regions and lists of tiles round up
        let free = budget.bytes - needs.total - mappedBytes - slack
        if total <= free {
            for index in items.indices { self.items[index].hotTiles = items[index].tiles.count }
            return
        }
        let largest = items.reduce(0) { max($0, $1.tiles.max() ?? 0) }
        let segment = max(segmentBytes, largest) + 8192  // the pages at both ends
        let least = 4 * segment
        windowBytes = min(32 * segment, max(8 * segment, free / 16 / segment * segment))
        if free < windowBytes + segment { windowBytes = least }
        guard free >= least else {
            throw .tooLittle(
                budget: budget.bytes, needed: needs.total + mappedBytes + slack + least)
        }
        keep(free - windowBytes)
    }

    /// Marks as many tiles as `bytes` hold, the same share of each matrix.
    private mutating func keep(_ bytes: Int) {
        let total = items.reduce(0) { $0 + $1.bytes }
        var left = bytes
        for index in items.indices {
            let share = Double(items[index].tiles.count) * Double(bytes) / Double(total)
            items[index].hotTiles = min(items[index].tiles.count, Int(share))
            left -= items[index].hotBytes
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
    /// All that this process will hold.
    public var totalBytes: Int { needs.total + hotBytes + windowBytes }
}
