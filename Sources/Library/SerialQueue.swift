internal import Dispatch

/// Runs an actor's work in order, on threads that run nothing else.
final class SerialQueue: SerialExecutor {
    private let queue = DispatchQueue(label: "tessera.engine")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { unsafe job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }
}
