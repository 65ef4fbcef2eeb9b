import TesseraTestSupport
import Testing

@testable import TesseraMachine

@Suite struct ProcessorTests {
    private func allowed(_ mask: String?, online: String?) throws -> Int {
        let tree = try FakeTree()
        let status =
            "Name:\tx\nCpus_allowed:\tff\n" + (mask.map { "Cpus_allowed_list:\t\($0)\n" } ?? "")
        try tree.put(status, "/proc/self/status")
        if let online { try tree.put(online + "\n", "/sys/devices/system/cpu/online") }
        return Processors.allowed(root: tree.root.path)
    }

    @Test func quotasAreRoundedDownToWholeProcessors() {
        #expect(Processors.usable(of: 8, quota: nil) == 8)
        #expect(Processors.usable(of: 8, quota: 1.5) == 1)
        #expect(Processors.usable(of: 8, quota: 2.99) == 2)
        #expect(Processors.usable(of: 8, quota: 0.5) == 1)
        #expect(Processors.usable(of: 2, quota: 64) == 2)
    }

    @Test func theMaskIsCutToWhatIsOnline() throws {
        #expect(try allowed("0-7", online: "0-7") == 8)
        #expect(try allowed("0-239", online: "0-1") == 2)
        #expect(try allowed("1,3-5,9", online: "0-4,9-12") == 4)
    }

    @Test func moreThan1024ProcessorsAreCounted() throws {
        #expect(try allowed("0-4095", online: "0-2047") == 2048)
        #expect(try allowed("1500-1507", online: "0-2047") == 8)
    }

    @Test func oneListAloneIsTaken() throws {
        #expect(try allowed("0-5", online: nil) == 6)
        #expect(try allowed(nil, online: "0-3") == 4)
        #expect(try allowed("damaged", online: nil) >= 1)
    }

    @Test func thisProcessHasSome() {
        #expect((1...Processors.allowed()).contains(Processors.usable))
    }
}
