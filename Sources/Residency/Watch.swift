internal import Glibc
internal import TesseraMachine
internal import TesseraWeightFile

/// Notices when a file in use has changed.
struct Watch {
    private let file: WeightFile
    private var before: Identity?
    private var next = ContinuousClock.now

    /// Time between two looks; a look takes some ten microseconds.
    private static let interval = Duration.milliseconds(200)
    /// Bytes of tiles whose checksums are verified after somebody wrote to the file.
    private static let sampleBytes = 64 << 20

    /// What has happened to the file.
    enum Change: Equatable {
        /// Its bytes have changed; says how.
        case damaged(String)
        /// It was written to, or its times were set; the tiles that were checked are unchanged.
        case touched(checked: Int, of: Int)
    }

    private struct Identity: Equatable {
        var size: Int
        var seconds: Int
        var nanoseconds: Int

        init?(_ path: String) {
            var status = stat()
            guard unsafe stat(path, &status) == 0 else { return nil }
            size = Int(status.st_size)
            seconds = Int(status.st_mtim.tv_sec)
            nanoseconds = Int(status.st_mtim.tv_nsec)
        }
    }

    init(_ file: WeightFile) {
        self.file = file
        before = Identity(file.descriptorPath)
    }

    /// Whether it is time to look again.
    mutating func isDue() -> Bool {
        let now = ContinuousClock.now
        guard now >= next else { return false }
        next = now + Self.interval
        return true
    }

    /// What has happened to the file since the last call; nil: nothing.
    mutating func change() -> Change? {
        guard let before, let now = Identity(file.descriptorPath), now != before else { return nil }
        self.before = now
        guard now.size == before.size else {
            return .damaged(
                "'\(file.path)' changed from \(before.size) to \(now.size) bytes while in use; "
                    + "make or fetch it anew")
        }
        do throws(WeightFileError) {
            let (checked, all) = try file.verifySample(byteCount: Self.sampleBytes)
            return .touched(checked: checked, of: all)
        } catch {
            return .damaged(
                "'\(file.path)' was written to while in use; run 'tessera verify', then start again"
            )
        }
    }
}
