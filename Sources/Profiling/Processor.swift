/// What the kernel says of the processors.
public enum Processor {
    /// E.g. `AMD EPYC 7B13`; the architecture where the kernel names no model.
    public static var name: String {
        for line in (SystemFile.text("/proc/cpuinfo") ?? "").split(separator: "\n") {
            guard line.hasPrefix("model name"), let colon = line.firstIndex(of: ":") else {
                continue
            }
            return String(line[line.index(after: colon)...].drop(while: \.isWhitespace))
        }
        #if arch(arm64)
            return "arm64"
        #else
            return "unknown processor"
        #endif
    }
}
