#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// The cost of the first touch of memory.
public struct PageFaultCost: Sendable, Equatable {
    /// Seconds per 4 KiB page of fresh memory, which the kernel has to clear.
    public var anonymousSecondsPerPage: Double
    /// Seconds per 4 KiB page of a mapped file that is in the page cache; nil if not measured.
    public var mappedSecondsPerPage: Double?
    /// Pages that one fault on the mapped file brings in.
    public var mappedPagesPerFault: Double?
}

/// Measures page faults.
enum MemoryProbe {
    private static let pageBytes = 4096

    /// - Parameters:
    ///   - bytes: Fresh memory to touch.
    ///   - file: A file to map; it is read once before.
    static func pageFaults(bytes: Int = 64 << 20, file: String) -> PageFaultCost? {
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let fresh = unsafe mmap(nil, bytes, PROT_READ | PROT_WRITE, flags, -1, 0),
            unsafe fresh != MAP_FAILED
        else { return nil }
        // Large pages would hide what small ones cost.
        unsafe madvise(fresh, bytes, MADV_NOHUGEPAGE)
        let elapsed = seconds {
            for offset in stride(from: 0, to: bytes, by: pageBytes) {
                unsafe fresh.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self)
            }
        }
        unsafe munmap(fresh, bytes)
        var cost = PageFaultCost(anonymousSecondsPerPage: elapsed / Double(bytes / pageBytes))
        mapped(file, into: &cost)
        return cost
    }

    private static func mapped(_ path: String, into cost: inout PageFaultCost) {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        defer { close(descriptor) }
        let length = min(Int(lseek(descriptor, 0, SEEK_END)), 256 << 20) / pageBytes * pageBytes
        guard length >= 256 * pageBytes else { return }
        var chunk = [UInt8](repeating: 0, count: 1 << 20)
        for offset in stride(from: 0, to: length, by: chunk.count) {
            _ = unsafe chunk.withUnsafeMutableBytes {
                unsafe pread(descriptor, $0.baseAddress, $0.count, off_t(offset))
            }
        }
        guard let map = unsafe mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor, 0),
            unsafe map != MAP_FAILED
        else { return }
        defer { unsafe munmap(map, length) }
        let before = SystemLoad.now().minorFaults
        var sum = 0
        let elapsed = seconds {
            for offset in stride(from: 0, to: length, by: pageBytes) {
                sum &+= Int(unsafe map.load(fromByteOffset: offset, as: UInt8.self))
            }
        }
        let faults = SystemLoad.now().minorFaults - before
        guard sum >= 0, faults > 0 else { return }
        let pages = Double(length / pageBytes)
        cost.mappedSecondsPerPage = elapsed / pages
        cost.mappedPagesPerFault = pages / Double(faults)
    }
}
