import Foundation
import TesseraProfiling
import Testing

@Suite("Distribution")
struct DistributionTests {
    @Test("Percentiles are interpolated between the two nearest samples")
    func percentiles() {
        let times = Distribution([5, 1, 4, 2, 3])
        #expect(times.median == 3)
        #expect(times.percentile(0) == 1 && times.percentile(100) == 5)
        #expect(times.percentile(25) == 2)
        #expect(abs(times.percentile(90) - 4.6) < 1e-12)
        #expect(Distribution([1, 2]).median == 1.5)
    }

    @Test("Samples keep their order in time, statistics do not depend on it")
    func order() {
        let times = Distribution([3, 1, 2])
        #expect(times.samples == [3, 1, 2])
        #expect(times.minimum == 1 && times.maximum == 3 && times.mean == 2)
        #expect(abs(times.standardDeviation - 1) < 1e-12)
    }

    @Test("A single sample is every percentile and spreads nowhere")
    func single() {
        let one = Distribution([7])
        for percent in [0.0, 1, 50, 99, 100] { #expect(one.percentile(percent) == 7) }
        #expect(one.standardDeviation == 0 && one.relativeSpread == 0)
    }

    @Test("A histogram counts every sample once, the largest in the last bin")
    func histogram() {
        let histogram = Distribution([0, 1, 2, 3, 4, 10]).histogram(binCount: 5)
        #expect(histogram.counts == [2, 2, 1, 0, 1])
        #expect(histogram.lower == 0 && histogram.width == 2)
        #expect(Distribution([2, 2, 2]).histogram(binCount: 3).counts == [3, 0, 0])
    }
}
