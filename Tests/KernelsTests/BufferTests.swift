import Foundation
import TesseraKernels
import Testing

struct BufferTests {
    @Test(
        "Buffers of any size are zero and aligned to 64 bytes",
        arguments: [0, 1, 63, 1000, 1 << 20])
    func zero(count: Int) {
        let buffer = Buffer<UInt8>(count: count)
        #expect(unsafe UInt(bitPattern: buffer.pointer) % 64 == 0)
        #expect(buffer.withSpan(0..<count) { span in span.indices.allSatisfy { span[$0] == 0 } })
    }

    @Test("Memory is taken where it is written, not for the whole of a large buffer")
    func lazy() throws {
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let buffer = Buffer<UInt8>(count: 64 << 20)
        buffer[32 << 20] = 1
        let first =
            unsafe (UInt(bitPattern: buffer.pointer) + UInt(page) - 1) / UInt(page) * UInt(page)
        let pages = buffer.count / page - 1
        var present = [UInt8](repeating: 0, count: pages)
        try #require(
            unsafe mincore(UnsafeMutableRawPointer(bitPattern: first)!, pages * page, &present) == 0
        )
        let taken = present.count { $0 & 1 == 1 }
        // A page, or one of 2 MiB where the system makes those by itself.
        #expect(taken >= 1 && taken <= (4 << 20) / page)
    }
}
