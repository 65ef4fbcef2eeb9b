import TesseraKernels
import TesseraWeightFile

/// Coded tiles of plausible codes, and how fast they are decoded.
struct Decoding {
    /// Weights that all threads together decode in a second, and stored bits of each.
    struct Rate {
        var encoding: TensorEncoding
        var storage: StorageClass
        var deviation: Double
        var bitsPerWeight: Double
        var weightsPerSecond: Double
    }

    private static let columns = 4096
    private static let tileCount = 256
    /// Tiles that are decoded before their memory is written again; it stays in the caches.
    private static let atOnce = 16

    /// - Parameter deviation: The standard deviation of the codes, in steps.
    static func rate(
        _ compute: Compute, _ encoding: TensorEncoding, _ storage: StorageClass, deviation: Double,
        runs: Int
    ) -> Rate {
        let rows = rows(encoding, storage)
        let plain = panels(rows / 16, encoding, deviation)
        let coded = TileCoder(encoding: encoding, storage: storage, columns: columns).encode(plain)
        return rate(compute, encoding, storage, tile: coded, deviation: deviation, runs: runs)
    }

    /// The same for a trellis and values of a normal distribution.
    static func trellisRate(_ compute: Compute, rate: Int, runs: Int) throws -> Rate {
        let rows = rows(.int8, .trellis)
        var state: UInt64 = 1
        let values = (0..<rows * columns).map { _ in Float(normal(&state)) }
        let trellis = Trellis(rate: rate, values: Array(values[..<(1 << 15)]))
        let tile = try trellis.encode(values, rows: rows, columns: columns).tile
        return Self.rate(compute, .int8, .trellis, tile: tile, deviation: 0, runs: runs)
    }

    private static func rows(_ encoding: TensorEncoding, _ storage: StorageClass) -> Int {
        TensorSpec(
            name: "tile", rows: 1 << 20, columns: columns, encoding: encoding, storage: storage
        ).tileRows
    }

    private static func rate(
        _ compute: Compute, _ encoding: TensorEncoding, _ storage: StorageClass,
        tile coded: [UInt8], deviation: Double, runs: Int
    ) -> Rate {
        let rows = rows(encoding, storage)
        // One coded tile over and over: what is decoded stays in the cache either way.
        let bytes = Buffer<UInt8>(count: coded.count)
        for (index, byte) in coded.enumerated() { bytes[index] = byte }
        let table = TileTable(count: tileCount)
        for index in 0..<tileCount {
            unsafe table.set(
                index, to: UnsafeRawBufferPointer(start: bytes.pointer, count: bytes.count))
        }
        guard let kind = Matrix.Encoding(rawValue: encoding.rawValue),
            let place = Matrix.Storage(rawValue: storage.rawValue)
        else { preconditionFailure("\(encoding), \(storage)") }
        let matrix = Matrix(
            rows: rows * tileCount, columns: columns, encoding: kind, storage: place,
            tileRows: rows, tiles: table, byteCount: coded.count * tileCount)
        let out = Buffer<UInt8>(count: matrix.tileBytes * atOnce)
        var best = Double.infinity
        for _ in 0..<max(3, runs) {
            let start = ContinuousClock.now
            for first in stride(from: 0, to: tileCount, by: atOnce) {
                let isWhole = unsafe compute.decode(
                    matrix, tiles: first..<first + atOnce,
                    to: UnsafeMutableRawPointer(out.pointer))
                precondition(isWhole, "a tile does not decode")
            }
            best = min(best, (ContinuousClock.now - start) / .seconds(1))
        }
        let weights = Double(rows * columns)
        return Rate(
            encoding: encoding, storage: storage, deviation: deviation,
            bitsPerWeight: Double(coded.count * 8) / weights,
            weightsPerSecond: weights * Double(tileCount) / best)
    }

    /// Panels with equal scales, whose codes lie about the middle.
    private static func panels(
        _ count: Int, _ encoding: TensorEncoding, _ deviation: Double
    ) -> [UInt8] {
        let size = TensorRecord.panelBytes(encoding: encoding, columns: columns)
        let planes = size - columns * (encoding == .int8 ? 16 : 8)
        var state: UInt64 = 1
        func code(_ middle: Double, _ most: Double) -> UInt8 {
            let value = (middle + normal(&state) * deviation).rounded()
            return UInt8(min(most, max(middle > 8 ? 1 : 0, value)))
        }
        return (0..<count * size).map { index in
            if index % size < planes { return index % 2 == 0 ? 0 : 0x20 }
            return encoding == .int8 ? code(128, 255) : code(8, 15) | code(8, 15) << 4
        }
    }

    /// A sum of twelve uniform numbers: nearly normal, of deviation 1.
    private static func normal(_ state: inout UInt64) -> Double {
        var sum = -6.0
        for _ in 0..<12 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            sum += Double(state >> 40) / Double(1 << 24)
        }
        return sum
    }

    /// A table of what is decoded how fast, on all threads.
    static func table(_ compute: Compute, runs: Int) throws -> String {
        var lines = [
            "\(compute.isa), \(compute.threads) threads: decoding coded tiles", "",
            "| codes | deviation | coder | bits per weight | G weights/s |",
            "|---|--:|---|--:|--:|",
        ]
        let cases: [(TensorEncoding, Double)] = [
            (.int8, 1), (.int8, 2), (.int8, 4), (.int8, 8), (.int8, 16), (.int4, 0.7), (.int4, 1.2),
            (.int4, 2),
        ]
        var rates: [Rate] = []
        for (encoding, deviation) in cases {
            for storage in [StorageClass.zstd, .rans] {
                rates.append(rate(compute, encoding, storage, deviation: deviation, runs: runs))
            }
        }
        for rate in Trellis.rates { rates.append(try trellisRate(compute, rate: rate, runs: runs)) }
        for rate in rates {
            lines.append(
                "| \(rate.encoding) "
                    + "| \(rate.deviation > 0 ? Report.fixed(rate.deviation, 1) : "") "
                    + "| \(rate.storage) | \(Report.fixed(rate.bitsPerWeight, 2)) "
                    + "| \(Report.fixed(rate.weightsPerSecond / 1e9, 2)) |")
        }
        return lines.joined(separator: "\n")
    }
}
