internal import Glibc

/// Nanoseconds of a clock that never jumps.
func nanoseconds() -> UInt64 {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
}

/// Seconds that `body` takes.
func seconds<E>(of body: () throws(E) -> Void) throws(E) -> Double {
    let start = nanoseconds()
    try body()
    return Double(nanoseconds() - start) * 1e-9
}

/// Dates as ISO 8601 writes them.
enum Timestamp {
    /// Now in UTC, e.g. `2026-11-30T02:09:16Z`.
    static var now: String { text(time(nil)) }

    /// - Parameter seconds: Since 1970.
    static func text(_ seconds: time_t) -> String {
        var seconds = seconds
        var parts = unsafe tm()
        guard unsafe gmtime_r(&seconds, &parts) != nil else { return "" }
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let date = unsafe [parts.tm_mon + 1, parts.tm_mday].map(two)
        let time = unsafe [parts.tm_hour, parts.tm_min, parts.tm_sec].map(two)
        let year = unsafe parts.tm_year + 1900
        return "\(year)-\(date.joined(separator: "-"))T\(time.joined(separator: ":"))Z"
    }
}
