internal import Glibc
package import TesseraResidency
package import TesseraWeightFile

/// How fast files are read, in the user's cache folder.
package enum PaceCache {
    /// The pace of a file on its device, read in one way.
    ///
    /// - Parameter measures: Whether to measure even where the pace is known.
    package static func memory(
        of file: WeightFile, _ method: InputMethod, measures: Bool = false
    ) -> PaceMemory {
        var status = stat()
        guard unsafe stat(file.descriptorPath, &status) == 0,
            let path = CacheFile.path(
                "reading-pace",
                ["\(status.st_dev)", "\(file.identity)", "\(file.fileBytes)", method.rawValue])
        else { return .none }
        return PaceMemory(
            recall: { measures ? nil : CacheFile.lines(path).flatMap(read) },
            remember: {
                CacheFile.write("\($0.method.rawValue) \(Int($0.bytesPerSecond))\n", to: path)
            })
    }

    /// A line of "method bytes-per-second".
    private static func read(_ lines: [String]) -> ReadingPace? {
        let fields = lines.first?.split(separator: " ") ?? []
        guard fields.count == 2, let method = InputMethod(rawValue: String(fields[0])),
            method != .auto, let rate = Double(fields[1]), rate > 0, rate.isFinite
        else { return nil }
        return ReadingPace(method: method, bytesPerSecond: rate)
    }
}
