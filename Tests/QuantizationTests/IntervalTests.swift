import Testing

@testable import TesseraQuantization

/// How often a conversion's progress is brought to disk.
@Suite struct IntervalTests {
    @Test func filesOfAllSizesAreTakenUpNearWhereTheyWereLeft() {
        #expect(Quantizer.interval(fileBytes: 8_000_000_000) == 64 << 20)
        #expect(Quantizer.interval(fileBytes: 98_000_000) == 6_125_000)
        #expect(Quantizer.interval(fileBytes: 1000) == 1 << 20)
    }
}
