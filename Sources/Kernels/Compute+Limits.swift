internal import TesseraCKernels
internal import TesseraMachine

/// What all threads together can do at most, measured now.
public struct MachineLimits: Sendable, Equatable {
    /// Sequential reading of memory that no cache holds.
    public var readBytesPerSecond: Double
    /// 8-bit multiplications added up in registers, with the instructions of the ISA in use.
    public var int8MacsPerSecond: Double

    public init(readBytesPerSecond: Double, int8MacsPerSecond: Double) {
        self.readBytesPerSecond = readBytesPerSecond
        self.int8MacsPerSecond = int8MacsPerSecond
    }
}

extension Compute {
    /// Measures the limits that a roofline needs; takes about a tenth of a second.
    ///
    /// Other programs share the machine, so the best of several short runs counts.
    ///
    /// - Parameters:
    ///   - readBytes: Memory to read, more than the last cache holds; taken and freed again.
    ///   - runs: Runs of each measurement.
    public func measureLimits(readBytes: Int = 128 << 20, runs: Int = 5) -> MachineLimits {
        precondition(readBytes >= 1 << 20 && runs > 0, "\(readBytes) bytes, \(runs) runs")
        let memory = Buffer<UInt8>(count: readBytes)
        // Pages that were never written are all the same page, which the first cache holds.
        for page in stride(from: 0, to: readBytes, by: 4096) { memory[page] = 1 }
        let sinks = Buffer<UInt64>(count: threads)
        var limits = MachineLimits(readBytesPerSecond: 0, int8MacsPerSecond: 0)
        for _ in 0..<runs {
            let read = rate {
                unsafe withRaw {
                    unsafe Double(tsr_read_all($0, memory.pointer, memory.count, sinks.pointer))
                }
            }
            let macs = rate {
                unsafe withRaw {
                    unsafe Double(tsr_multiply_registers($0, threads * 16, sinks.pointer))
                }
            }
            limits.readBytesPerSecond = max(limits.readBytesPerSecond, read)
            limits.int8MacsPerSecond = max(limits.int8MacsPerSecond, macs)
        }
        return limits
    }

    /// Units of `work` per second.
    private func rate(_ work: () -> Double) -> Double {
        let start = ContinuousClock.now
        let units = work()
        return units / max((ContinuousClock.now - start).seconds, 1e-9)
    }
}
