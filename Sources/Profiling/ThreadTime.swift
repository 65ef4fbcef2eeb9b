internal import TesseraMachine

internal import Glibc

/// Processor time that one thread has used.
public struct ThreadTime: Sendable, Equatable {
    /// The kernel's number of it; the main thread has the process's.
    public var id: Int
    public var seconds: Double

    public init(id: Int, seconds: Double) { (self.id, self.seconds) = (id, seconds) }

    /// The times of this process's threads, the main thread first.
    static func now() -> [ThreadTime] {
        let folder = "/proc/self/task"
        guard let directory = unsafe opendir(folder) else { return [] }
        defer { unsafe closedir(directory) }
        var times: [ThreadTime] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name.0) {
                unsafe String(cString: $0)
            }
            guard let id = Int(name),
                let nanoseconds = SystemFile.integer("\(folder)/\(id)/schedstat")
            else { continue }
            times.append(ThreadTime(id: id, seconds: Double(nanoseconds) * 1e-9))
        }
        return times.sorted { $0.id < $1.id }
    }
}
