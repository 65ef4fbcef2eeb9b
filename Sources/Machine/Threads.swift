internal import Glibc

/// A lock with a condition on which its users wait.
@safe package final class Monitor: @unchecked Sendable {
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>

    package init() {
        unsafe mutex = .allocate(capacity: 1)
        unsafe condition = .allocate(capacity: 1)
        unsafe pthread_mutex_init(mutex, nil)
        unsafe pthread_cond_init(condition, nil)
    }

    deinit {
        unsafe pthread_cond_destroy(condition)
        unsafe pthread_mutex_destroy(mutex)
        unsafe condition.deallocate()
        unsafe mutex.deallocate()
    }

    /// Runs `body` while no other thread runs one.
    package func locked<R>(_ body: () -> R) -> R {
        unsafe pthread_mutex_lock(mutex)
        defer { unsafe pthread_mutex_unlock(mutex) }
        return body()
    }

    /// Waits until another thread calls ``signal()``. May return without a signal. Only inside ``locked(_:)``.
    package func wait() { unsafe pthread_cond_wait(condition, mutex) }

    /// Wakes all who wait.
    package func signal() { unsafe pthread_cond_broadcast(condition) }
}

/// A thread of the system. The code that starts it must join it.
@safe package struct WorkerThread: @unchecked Sendable {
    private let handle: pthread_t

    /// - Returns: nil if the system has no thread to give.
    package init?(_ run: @escaping @Sendable () -> Void) {
        let work = unsafe Unmanaged.passRetained(Work(run))
        var handle = pthread_t()
        let status = unsafe pthread_create(&handle, nil, workerMain, work.toOpaque())
        guard status == 0 else {
            unsafe work.release()
            return nil
        }
        self.handle = handle
    }

    /// Waits for its end.
    package func join() { pthread_join(handle, nil) }
}

private final class Work {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}

private func workerMain(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let argument = unsafe argument {
        unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run()
    }
    return nil
}

/// The niceness of threads: which the system runs first.
package enum Niceness {
    /// Gives the calling thread, and threads that it starts later, the niceness of the main thread, which `nice` sets.
    /// The pool of Swift's concurrency gives its threads a niceness of its own where it may: where root runs the
    /// program.
    package static func followMainThread() {
        let kind = __priority_which_t(PRIO_PROCESS.rawValue)
        let main = getpriority(kind, id_t(getpid()))
        if getpriority(kind, 0) < main { setpriority(kind, 0, main) }
    }
}
