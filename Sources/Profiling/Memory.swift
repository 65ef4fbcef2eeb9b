/// What this process holds in memory.
public enum ProcessMemory {
    /// Largest resident set since the start or the last ``forgetPeak()``, in bytes.
    public static var peak: Int {
        SystemFile.field("VmHWM", in: SystemFile.text("/proc/self/status") ?? "") ?? 0
    }

    /// Lets the peak begin anew at what is resident now.
    public static func forgetPeak() { SystemFile.put("5", to: "/proc/self/clear_refs") }
}
