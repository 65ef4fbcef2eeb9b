#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif
import Synchronization

/// Names of unfinished files that are removed when the program ends early.
///
/// `removeAll` may run in a signal handler: it takes no lock and no memory.
public enum TemporaryFiles {
    /// Addresses of C strings; 0 is a free place.
    private static let names = InlineArray<8, Atomic<UInt>> { _ in Atomic(0) }

    /// Removes all of them, for a program that ends now.
    public static func removeAll() {
        for index in names.indices {
            let address = names[index].exchange(0, ordering: .acquiring)
            guard let name = unsafe UnsafePointer<CChar>(bitPattern: address) else { continue }
            unsafe unlink(name)
        }
    }

    /// Remembers a file. Where no place is free, the file would stay.
    static func add(_ path: String) {
        guard let name = unsafe strdup(path) else { return }
        for index in names.indices {
            let isMine = names[index].compareExchange(
                expected: 0, desired: UInt(bitPattern: name), ordering: .acquiringAndReleasing
            ).exchanged
            if isMine { return }
        }
        unsafe free(name)
    }

    /// Forgets a file that has its final name or is gone.
    static func remove(_ path: String) {
        for index in names.indices {
            let address = names[index].load(ordering: .acquiring)
            guard let name = unsafe UnsafeMutablePointer<CChar>(bitPattern: address),
                unsafe strcmp(name, path) == 0
            else { continue }
            let wasThere = names[index].compareExchange(
                expected: address, desired: 0, ordering: .acquiringAndReleasing
            ).exchanged
            if wasThere { unsafe free(name) }
            return
        }
    }
}
