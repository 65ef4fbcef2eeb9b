import TesseraCKernels
import TesseraKernels
import Testing

/// State of the counting tasks: how often each index was taken.
private final class Tally: @unchecked Sendable {
    let counts: Buffer<Int32>
    let workers: Int
    var strayWorker = false
    init(_ count: Int, workers: Int) {
        counts = Buffer(count: count)
        self.workers = workers
    }
}

@Suite(.timeLimit(.minutes(30))) struct PoolTests {
    /// Thousands of regions of all sizes, back to back and after pauses long enough to park.
    @Test(arguments: [1, 2, 3, 8])
    func everyIndexOfEveryRegionIsTakenOnce(threads: Int) throws {
        guard let pool = tsr_pool_create(threads) else {
            Issue.record("no pool")
            return
        }
        defer { tsr_pool_destroy(pool) }
        #expect(tsr_pool_threads(pool) == threads)
        let sizes = [0, 1, 2, 3, 5, 17, 64, 1000]
        for round in 0..<3000 {
            let size = sizes[round % sizes.count]
            let isAlone = round % 7 == 6
            tsr_pool_work_alone(pool, isAlone)
            let tally = Tally(size, workers: isAlone ? 1 : threads)
            #expect(tsr_pool_threads(pool) == tally.workers)
            tsr_pool_run(
                pool,
                { context, index, worker in
                    let tally = Unmanaged<Tally>.fromOpaque(context).takeUnretainedValue()
                    // Each index belongs to one task, so that this is no race unless the pool errs.
                    tally.counts[index] += 1
                    if worker >= tally.workers { tally.strayWorker = true }
                }, Unmanaged.passUnretained(tally).toOpaque(), size)
            var once = true
            for index in 0..<size where tally.counts[index] != 1 { once = false }
            #expect(once && !tally.strayWorker, "round \(round), \(size) tasks")
            if round % 500 == 499 { Thread.pause(microseconds: 2000) }
        }
    }

    @Test func resultsDoNotDependOnTheNumberOfThreads() throws {
        var random = SeededGenerator(seed: 9)
        let reference = ReferenceMatrix(
            rows: 200, columns: 96, encoding: .int4, using: &random)
        let a = Activations(tokenCapacity: 9, columns: 96)
        for index in 0..<a.values.count { a.values[index] = random.float(-1...1) }
        var results: [[Float]] = []
        for threads in 1...5 {
            let compute = try Compute(threads: threads)
            compute.workAlone(threads == 5)
            compute.quantize(a, tokens: 9)
            let group = MatrixGroup([reference.matrix])
            let y = Buffer<Float>(count: 9 * group.outputStride)
            compute.multiply(group, a, tokens: 9, into: y)
            results.append((0..<y.count).map { y[$0] })
        }
        for result in results { #expect(result == results[0]) }
    }

    @Test func poolsComeAndGo() {
        for _ in 0..<50 {
            let pool = tsr_pool_create(4)
            #expect(pool != nil)
            if let pool { tsr_pool_destroy(pool) }
        }
    }

    @Test func unknownInstructionSetsAreRefused() {
        #expect(throws: KernelError.unknownISA("mmx", available: Compute.availableISAs)) {
            _ = try Compute(isa: "mmx")
        }
    }
}

private enum Thread {
    static func pause(microseconds: UInt64) {
        let clock = ContinuousClock()
        let end = clock.now + .microseconds(Int(microseconds))
        while clock.now < end {}
    }
}
