internal import TesseraMachine

/// One counter of energy, in joules since some moment, which may begin anew.
public struct EnergyCounter: Sendable, Equatable {
    /// E.g. `package-0`.
    public var name: String
    public var joules: Double
    /// Where it begins anew; nil if unknown.
    public var range: Double?

    public init(name: String, joules: Double, range: Double? = nil) {
        (self.name, self.joules, self.range) = (name, joules, range)
    }

    /// Joules from an earlier reading to this one; nil if the counter began anew and nobody says
    /// where. A counter that went round more than once cannot be told from one that did so once.
    func since(_ earlier: EnergyCounter) -> Double? {
        if joules >= earlier.joules { return joules - earlier.joules }
        return range.map { joules + $0 - earlier.joules }
    }
}

/// Temperature, energy, power, frequency and throttling, as far as the kernel tells.
struct Sensors {
    /// Where /sys is.
    private let root: String
    /// Most devices of one kind that are asked.
    private static let most = 16

    /// - Parameter root: Put in front of every path, for tests.
    init(root: String = "") { self.root = root }

    private func paths(_ pattern: String, from first: Int = 0) -> [String] {
        (first..<first + Self.most).map { "\(root)\(pattern)\($0)" }
    }

    private var monitors: [String] {
        paths("/sys/class/hwmon/hwmon").filter { SystemFile.word($0 + "/name") != nil }
    }

    /// Warmest sensor of the processors in degrees Celsius: thermal zones, or else what hardware
    /// monitors show. Sensors that are not connected show impossible values, which are left out.
    var celsius: Double? {
        let zones = paths("/sys/class/thermal/thermal_zone").compactMap {
            SystemFile.integer($0 + "/temp")
        }
        let inputs = monitors.flatMap { monitor in
            (1...Self.most).compactMap { SystemFile.integer("\(monitor)/temp\($0)_input") }
        }
        for list in [zones, inputs] {
            let believable = list.map { Double($0) / 1000 }.filter { (-40...150).contains($0) }
            if let warmest = believable.max() { return warmest }
        }
        return nil
    }

    /// Counters of the processors' energy: powercap (RAPL) packages, or else energy counters of
    /// hardware monitors. Parts of a package are in it and are not counted again.
    var energy: [EnergyCounter] {
        let packages = paths("/sys/class/powercap/intel-rapl:").compactMap {
            zone -> EnergyCounter? in
            guard let name = SystemFile.word(zone + "/name"), name.hasPrefix("package"),
                let energy = SystemFile.integer(zone + "/energy_uj")
            else { return nil }
            return EnergyCounter(
                name: name, joules: Double(energy) * 1e-6,
                range: SystemFile.integer(zone + "/max_energy_range_uj").map { Double($0) * 1e-6 })
        }
        if !packages.isEmpty { return packages }
        let counters = monitors.flatMap { monitor in
            (1...Self.most).compactMap { index -> EnergyCounter? in
                guard let energy = SystemFile.integer("\(monitor)/energy\(index)_input") else {
                    return nil
                }
                let name = SystemFile.word("\(monitor)/energy\(index)_label")
                return EnergyCounter(name: name ?? "energy\(index)", joules: Double(energy) * 1e-6)
            }
        }
        // Where whole sockets are counted, single cores are in them.
        let sockets = counters.filter { $0.name.contains("socket") }
        return sockets.isEmpty ? counters : sockets
    }

    /// Watts that hardware monitors show now, all added up; nil without such a monitor.
    var watts: Double? {
        let values = monitors.compactMap { monitor -> Int? in
            SystemFile.integer(monitor + "/power1_average")
                ?? SystemFile.integer(monitor + "/power1_input")
        }
        return values.isEmpty ? nil : Double(values.reduce(0, +)) * 1e-6
    }

    /// Mean frequency of the processors in hertz.
    ///
    /// - Parameter info: What stands in /proc/cpuinfo.
    func hertz(info: String) -> Double? {
        let scaled = paths("/sys/devices/system/cpu/cpu").compactMap {
            SystemFile.integer($0 + "/cpufreq/scaling_cur_freq")
        }
        let values =
            scaled.isEmpty
            ? SystemFile.values("cpu MHz", in: info).compactMap { Double($0) }.map { $0 * 1e6 }
            : scaled.map { Double($0) * 1e3 }
        return values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
    }

    /// Times that a processor or its package was slowed down for its heat; nil if nobody counts.
    var throttleCount: Int? {
        let counts = paths("/sys/devices/system/cpu/cpu").flatMap { cpu in
            ["core", "package"].compactMap {
                SystemFile.integer("\(cpu)/thermal_throttle/\($0)_throttle_count")
            }
        }
        return counts.isEmpty ? nil : counts.reduce(0, +)
    }
}
