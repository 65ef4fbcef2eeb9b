import TesseraKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What was measured, as a table for people and as JSON.
struct Report {
    /// One timing and the limits measured next to it.
    struct Sample {
        var seconds: Double
        var limits: MachineLimits
    }

    struct Row {
        var encoding: String
        var rows: Int
        var columns: Int
        var tokens: Int
        var seconds: Double
        var bytesPerSecond: Double
        var macsPerSecond: Double
        /// Shares of the limits, 1 = all of it.
        var ofBandwidth: Double
        var ofMacs: Double
        var limits: MachineLimits

        init(_ workload: Workload, tokens: Int, samples: [Sample]) {
            let bytes = Double(workload.matrixBytes)
            let macs = Double(workload.shape.rows * workload.shape.columns * tokens)
            encoding = "\(workload.encoding)"
            rows = workload.shape.rows
            columns = workload.shape.columns
            self.tokens = tokens
            seconds = Report.median(samples.map(\.seconds))
            bytesPerSecond = bytes / seconds
            macsPerSecond = macs / seconds
            ofBandwidth = Report.median(
                samples.map { bytes / $0.seconds / $0.limits.readBytesPerSecond })
            ofMacs = Report.median(samples.map { macs / $0.seconds / $0.limits.int8MacsPerSecond })
            limits = MachineLimits(
                readBytesPerSecond: Report.median(samples.map(\.limits.readBytesPerSecond)),
                int8MacsPerSecond: Report.median(samples.map(\.limits.int8MacsPerSecond)))
        }
    }

    let isa: String
    let threads: Int
    let rows: [Row]

    init(compute: Compute, rows: [Row]) {
        isa = compute.isa
        threads = compute.threads
        self.rows = rows
    }

    static func median(_ values: [Double]) -> Double {
        let sorted = values.sorted()
        guard let middle = sorted.dropFirst(sorted.count / 2).first else { return .nan }
        return middle
    }

    var table: String {
        var lines = ["\(isa), \(threads) threads"]
        var heading = ""
        for row in rows {
            let title = "\(row.encoding) \(row.rows) x \(row.columns)"
            if title != heading {
                heading = title
                let read = Self.fixed(row.limits.readBytesPerSecond / 1e9, 1)
                let macs = Self.fixed(row.limits.int8MacsPerSecond / 1e9, 0)
                lines += [
                    "", "\(title)   (limits: \(read) GB/s, \(macs) G MAC/s)", "",
                    "| m | us | GB/s | % of read | G MAC/s | % of MAC peak |",
                    "|--:|--:|--:|--:|--:|--:|",
                ]
            }
            lines.append(
                "| \(row.tokens) | \(Self.fixed(row.seconds * 1e6, 1)) | "
                    + "\(Self.fixed(row.bytesPerSecond / 1e9, 1)) | "
                    + "\(Self.fixed(row.ofBandwidth * 100, 0)) | "
                    + "\(Self.fixed(row.macsPerSecond / 1e9, 1)) | "
                    + "\(Self.fixed(row.ofMacs * 100, 0)) |")
        }
        return lines.joined(separator: "\n")
    }

    var json: String {
        let items = rows.map { row in
            """
              {"encoding": "\(row.encoding)", "rows": \(row.rows), "columns": \(row.columns), \
            "tokens": \(row.tokens), "nanoseconds": \(Int(row.seconds * 1e9)), \
            "bytes_per_second": \(Int(row.bytesPerSecond)), \
            "macs_per_second": \(Int(row.macsPerSecond)), \
            "share_of_read_bandwidth": \(Self.fixed(row.ofBandwidth, 4)), \
            "share_of_mac_peak": \(Self.fixed(row.ofMacs, 4)), \
            "limits": {"read_bytes_per_second": \(Int(row.limits.readBytesPerSecond)), \
            "int8_macs_per_second": \(Int(row.limits.int8MacsPerSecond))}}
            """
        }
        return "{\"isa\": \"\(isa)\", \"threads\": \(threads), \"kernels\": [\n"
            + items.joined(separator: ",\n") + "\n]}\n"
    }

    struct WriteError: Error, CustomStringConvertible {
        var path: String
        var code: Int32
        var description: String { "cannot write \(path): error \(code)" }
    }

    func write(to path: String) throws(WriteError) {
        guard let file = unsafe fopen(path, "w") else { throw WriteError(path: path, code: errno) }
        unsafe fputs(json, file)
        guard unsafe fclose(file) == 0 else { throw WriteError(path: path, code: errno) }
    }

    static func fixed(_ value: Double, _ digits: Int) -> String {
        guard value.isFinite else { return "0" }
        let unit = pow(10, Double(digits))
        let scaled = Int((value * unit).rounded())
        guard digits > 0 else { return "\(scaled)" }
        let fraction = "\(abs(scaled) % Int(unit))"
        let zeros = String(repeating: "0", count: digits - fraction.count)
        return "\(scaled / Int(unit)).\(zeros)\(fraction)"
    }
}
