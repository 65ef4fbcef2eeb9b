internal import TesseraImport
internal import TesseraKernels
public import TesseraWeightFile

/// How fast this machine multiplies one position by weights of each storage class: measured in a few tenths of a second.
public struct PassPace: Sendable {
    /// Bytes of memory that are read in a second.
    let bytesPerSecond: Double
    /// Weights that are decoded and multiplied in a second, where the stored bytes wait in a cache.
    let weightsPerSecond: [StorageClass: Double]

    init(bytesPerSecond: Double, weightsPerSecond: [StorageClass: Double]) {
        self.bytesPerSecond = bytesPerSecond
        self.weightsPerSecond = weightsPerSecond
    }

    /// - Parameter threads: As many as passes will have.
    public init(_ storages: [StorageClass], threads: Int) throws {
        let compute = try Compute(threads: threads, tileBytes: 1 << 20)
        bytesPerSecond = compute.measureLimits(runs: 5).readBytesPerSecond
        var rates: [StorageClass: Double] = [:]
        for storage in storages where storage != .plain {
            rates[storage] = try Self.rate(compute, storage)
        }
        weightsPerSecond = rates
    }

    /// Tokens in a second of passes over one position: as many as its weights allow.
    func tokensPerSecond(_ entries: [EncodingPlan.Entry], tiedHead: Bool) -> Double {
        let seconds = entries.reduce(0.0) { sum, entry in
            // A pass reads one row of an embedding that is not the head.
            guard tiedHead || !entry.tensor.name.contains("embed_tokens") else { return sum }
            let decoding = weightsPerSecond[entry.storage].map {
                Double(entry.tensor.rows * entry.tensor.columns) / $0
            }
            return sum + max(Double(entry.byteCount) / bytesPerSecond, decoding ?? 0)
        }
        return 1 / max(seconds, 1e-9)
    }

    private static let columns = 1024

    /// Decoding rate of a matrix that repeats one tile of normally distributed values, at about 3.5 bits.
    private static func rate(_ compute: Compute, _ storage: StorageClass) throws -> Double {
        let spec = TensorSpec(
            name: "tile", rows: 1 << 20, columns: columns, encoding: .int8, storage: storage)
        let tile = try tile(spec)
        let bytes = Buffer<UInt8>(count: tile.count)
        for (index, byte) in tile.enumerated() { bytes[index] = byte }
        let table = TileTable(count: 16)
        for index in 0..<table.count {
            // Safe: the buffer lives until the end of this function.
            unsafe table.set(
                index, to: UnsafeRawBufferPointer(start: bytes.pointer, count: bytes.count))
        }
        guard let place = Matrix.Storage(rawValue: storage.rawValue) else { return .infinity }
        let group = MatrixGroup([
            Matrix(
                rows: spec.tileRows * table.count, columns: columns, encoding: .int8,
                storage: place, tileRows: spec.tileRows, tiles: table,
                byteCount: tile.count * table.count)
        ])
        let x = Activations(tokenCapacity: 1, columns: columns, forms: place.form)
        for column in 0..<columns { x.values[column] = Float(column % 7) - 3 }
        compute.quantize(x, tokens: 1)
        let y = Buffer<Float>(count: group.outputStride)
        let clock = ContinuousClock()
        let best = (0..<5).map { _ in
            clock.measure { compute.multiply(group, x, tokens: 1, into: y) }
        }.min()
        withExtendedLifetime(bytes) {}
        let weights = Double(spec.tileRows * table.count * columns)
        return weights / max((best ?? .zero) / .seconds(1), 1e-9)
    }

    private static func tile(_ spec: TensorSpec) throws -> [UInt8] {
        var state: UInt64 = 1
        func uniform() -> Float {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Float(state >> 40) / Float(1 << 24)
        }
        // Sums of eight numbers are nearly normal, of deviation 0.816.
        let values = (0..<spec.tileRows * columns).map { _ in
            (0..<8).reduce(into: Float(-4)) { sum, _ in sum += uniform() }
        }
        guard spec.storage != .trellis else {
            let row = Array(values[..<(1 << 15)]).map { $0 / 0.816 }
            let trellis = Trellis(rate: 7, values: row)
            return try trellis.encode(values, rows: spec.tileRows, columns: columns).tile
        }
        let steps = [Float](repeating: 0.28, count: spec.tileRows)
        let panels = try PanelEncoder(encoding: .int8, columns: columns, candidates: 0)
            .encode(values, rows: spec.tileRows, steps: steps).bytes
        return TileCoder(encoding: .int8, storage: spec.storage, columns: columns).encode(panels)
    }
}
