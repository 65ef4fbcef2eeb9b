internal import TesseraMachine

/// Facts about the processors that the kernel tells.
public enum Processor {
    /// E.g. `AMD EPYC 7B13`.
    public static var name: String { name(in: SystemFile.text("/proc/cpuinfo") ?? "") }

    /// - Parameter info: What stands in /proc/cpuinfo.
    static func name(in info: String) -> String {
        if let model = SystemFile.values("model name", in: info).first { return model }
        #if arch(arm64)
            return SystemFile.values("Model", in: info).first ?? "arm64"
        #else
            return "unknown processor"
        #endif
    }
}
