internal import Dispatch
internal import TesseraMachine

/// Runs an actor's work in order, on threads that run nothing else.
final class SerialQueue: SerialExecutor {
    private let queue = DispatchQueue(label: "tessera.engine")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async {
            Niceness.followMainThread()
            unsafe job.runSynchronously(on: self.asUnownedSerialExecutor())
        }
    }
}
