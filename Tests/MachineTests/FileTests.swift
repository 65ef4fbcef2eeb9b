import Foundation
import TesseraTestSupport
import Testing

@testable import TesseraMachine

@Suite struct ReadableFileTests {
    /// Reads `needed` of 16 KiB by calls that return this many bytes each, or minus an `errno`.
    private func read(
        needed: Int, isDirect: Bool = false, of size: Int, _ calls: [Int]
    ) -> (outcome: ReadableFile.Outcome, starts: [Int]) {
        var calls = calls[...]
        var starts: [Int] = []
        let target = UnsafeMutableRawBufferPointer.allocate(byteCount: 16384, alignment: 4096)
        defer { target.deallocate() }
        let outcome = ReadableFile.read(into: target, needed: needed, isDirect: isDirect) {
            part, done in
            starts.append(done)
            let next = calls.popFirst() ?? part.count
            if next < 0 {
                errno = Int32(-next)
                return -1
            }
            return max(0, min(next, part.count, size - done))
        }
        return (outcome, starts)
    }

    @Test func shortReadsAreGoneOnWith() {
        let (outcome, starts) = read(needed: 16384, of: 20000, [100, 5000, 1])
        #expect(outcome == .complete && starts == [0, 100, 5100, 5101])
    }

    @Test func interruptedReadsAreRepeated() {
        let (outcome, starts) = read(needed: 16384, of: 20000, [-Int(EINTR), 8192, -Int(EINTR)])
        #expect(outcome == .complete && starts == [0, 0, 8192, 8192])
    }

    @Test func directReadsGoOnAtThePage() {
        let (outcome, starts) = read(needed: 16384, isDirect: true, of: 20000, [5000, 4096])
        #expect(outcome == .complete && starts == [0, 4096, 8192])
    }

    @Test func theEndIsReportedOnlyWhereItIs() {
        for isDirect in [false, true] {
            #expect(read(needed: 9000, isDirect: isDirect, of: 9000, []).outcome == .complete)
            let (outcome, _) = read(needed: 16384, isDirect: isDirect, of: 9000, [])
            #expect(outcome == .ended(at: 9000))
        }
    }

    @Test func failuresCarryTheirCode() {
        #expect(read(needed: 10, of: 100, [-Int(EIO)]).outcome == .failed(EIO))
        #expect(throws: SystemCode(ENOENT)) { try ReadableFile("/nonexistent/file") }
        #expect(SystemCode(ENOENT).description == "No such file or directory")
    }

    @Test func aRealFileIsReadFromTheMiddle() throws {
        let tree = try FakeTree(["file": "0123456789"])
        let file = try ReadableFile(tree.root.path + "/file")
        var bytes = [UInt8](repeating: 0, count: 8)
        #expect(bytes.withUnsafeMutableBytes { file.read(into: $0, at: 4) } == .ended(at: 10))
        #expect(bytes == Array("456789\0\0".utf8))
    }
}

@Suite struct MountTests {
    @Test func namesWithSpacesAndOptionalFieldsAreUnderstood() throws {
        let tree = try FakeTree([
            "/proc/self/mountinfo": """
            36 35 98:0 /a\\040b /mnt/x\\134y rw,noatime master:1 - fuse.sshfs host:/ rw,user_id=0
            damaged line
            23 1 8:1 / / rw - ext4 /dev/sda1 rw
            """
        ])
        let mounts = Mount.all(root: tree.root.path)
        #expect(mounts.map(\.type) == ["fuse.sshfs", "ext4"])
        #expect(mounts.first?.root == "/a b" && mounts.first?.point == "/mnt/x\\y")
        #expect(mounts.first?.options == ["rw", "user_id=0"] && mounts.last?.device == "8:1")
    }

    @Test func thisMachinesProcIsAMount() {
        #expect(Mount.holding("/proc/self/status")?.type == "proc")
        #expect(Mount.holding("/nonexistent") == nil)
    }
}
