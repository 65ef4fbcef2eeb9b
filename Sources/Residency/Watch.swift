internal import Glibc
internal import System
internal import WeightFile

/// Notices that a file in use is not what it was.
struct Watch {
    private let path: String
    private let descriptorPath: String
    private let before: Identity?
    private var next = ContinuousClock.now

    /// Time between two looks; a look takes some ten microseconds.
    private static let interval = Duration.milliseconds(200)

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
        path = file.path
        descriptorPath = file.descriptorPath
        before = Identity(descriptorPath)
    }

    /// Whether it is time to look again.
    mutating func isDue() -> Bool {
        let now = ContinuousClock.now
        guard now >= next else { return false }
        next = now + Self.interval
        return true
    }

    /// What has happened to the file, in words; nil: nothing.
    func change() -> String? {
        guard let before, let now = Identity(descriptorPath), now != before else { return nil }
        return now.size == before.size
            ? "'\(path)' was written to while in use; run 'tessera verify', then start again"
            : "'\(path)' changed from \(before.size) to \(now.size) bytes while in use; "
                + "make or fetch it anew"
    }
}
