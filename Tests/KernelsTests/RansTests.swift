import TesseraCKernels
import TesseraKernels
import Testing

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The coder of code planes, apart from tiles.
@Suite struct RansTests {
    static func code(_ bytes: [UInt8], _ hasNibbles: Bool) -> [UInt8] {
        var coded = [UInt8](repeating: 0, count: tsr_rans_bound(bytes.count))
        let count = unsafe tsr_rans_encode(bytes, bytes.count, hasNibbles, &coded)
        return Array(coded[..<count])
    }

    /// By the kernels of an instruction set; not a byte more than asked for is written.
    static func decode(
        _ coded: [UInt8], _ hasNibbles: Bool, _ count: Int, _ loop: tsr_rans_loop
    ) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0xAA, count: count + 1)
        let isWhole = unsafe tsr_rans_decode(coded, coded.count, loop, hasNibbles, &bytes, count)
        #expect(bytes[count] == 0xAA)
        return isWhole ? Array(bytes[..<count]) : nil
    }

    static let loops: [tsr_rans_loop] = {
        let tables = unsafe [tsr_kernels_scalar(), tsr_kernels_avx2(), tsr_kernels_avx512vnni()]
        return unsafe tables.compactMap { unsafe $0?.pointee.decode_symbols }
    }()

    /// Bytes about 128 that spread so far, a few of them anywhere.
    private func bytes(_ count: Int, spread: Double, outliers: Bool) -> [UInt8] {
        var random = SeededGenerator(seed: UInt64(count) + UInt64(spread * 10))
        return (0..<count).map { _ in
            if outliers, random.next() % 1000 == 0 { return UInt8(random.next() % 256) }
            var sum: Float = 0
            for _ in 0..<12 { sum += random.float(-0.5...0.5) }
            return UInt8(min(255, max(0, 128 + (Double(sum) * spread).rounded())))
        }
    }

    @Test(arguments: [0, 0.3, 2, 9, 40, 500], [false, true])
    func whatWasCodedComesBack(spread: Double, outliers: Bool) {
        for count in [128, 512, 1152, 65_536] {
            let plain = bytes(count, spread: spread, outliers: outliers)
            for hasNibbles in [false, true] {
                let coded = Self.code(plain, hasNibbles)
                #expect(coded.count <= tsr_rans_bound(count))
                for loop in Self.loops {
                    let isSame = Self.decode(coded, hasNibbles, count, loop) == plain
                    #expect(isSame, "\(count) bytes")
                    guard spread > 0 else { continue }  // one symbol again and again takes no bits
                    let isRefused = Self.decode(coded, hasNibbles, count - 128, loop) == nil
                    #expect(isRefused, "\(count) bytes")
                }
            }
        }
    }

    /// Close to the entropy of the bytes: what the table, the states and rounding take is 2 %.
    @Test(arguments: [1.0, 3, 6])
    func itTakesAsManyBitsAsTheEntropySays(spread: Double) {
        let plain = bytes(65_536, spread: spread, outliers: false)
        var counts = [Double](repeating: 0, count: 256)
        for byte in plain { counts[Int(byte)] += 1 }
        let bits = counts.reduce(0.0) { sum, count in
            count > 0 ? sum - count * log2(count / 65_536) : sum
        }
        #expect(Double(Self.code(plain, false).count * 8) < bits * 1.02 + 8 * 700)
    }

    /// Whatever the bytes are, decoding stays within them and the output.
    @Test func hostileBytesAreRefusedOrDecodeToSomething() {
        let plain = bytes(4096, spread: 5, outliers: true)
        for hasNibbles in [false, true] {
            let coded = Self.code(plain, hasNibbles)
            var random = SeededGenerator(seed: 3)
            for round in 0..<3000 {
                var damaged = coded
                for _ in 0...Int(random.next() % 4) {
                    // Half of the time the head, where sizes and the table stand.
                    let range = round % 2 == 0 ? min(200, damaged.count) : damaged.count
                    damaged[Int(random.next() % UInt64(range))] = UInt8(random.next() % 256)
                }
                if round % 5 == 0 {
                    damaged.removeLast(Int(random.next() % UInt64(damaged.count)))
                }
                let results = Self.loops.map { Self.decode(damaged, hasNibbles, 4096, $0) }
                let areSame = results.allSatisfy { $0 == results[0] }
                #expect(areSame, "round \(round)")
            }
        }
    }
}
