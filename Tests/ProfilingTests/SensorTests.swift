import Foundation
import TesseraTestSupport
import Testing

@testable import TesseraProfiling

@Suite("Sensors of a machine")
struct SensorTests {
    private let rapl = "/sys/class/powercap/intel-rapl:"

    @Test("Energy is that of the packages; their parts and the whole platform are not added")
    func energy() throws {
        let tree = try FakeTree([
            rapl + "0/name": "package-0\n", rapl + "0/energy_uj": "9000000\n",
            rapl + "0/max_energy_range_uj": "10000000\n",
            rapl + "1/name": "package-1\n", rapl + "1/energy_uj": "500000\n",
            rapl + "2/name": "psys\n", rapl + "2/energy_uj": "70000000\n",
            "/sys/class/powercap/intel-rapl:0:0/energy_uj": "8000000\n",
        ])
        let energy = Sensors(root: tree.root.path).energy
        #expect(energy.map(\.name) == ["package-0", "package-1"])
        #expect(
            energy.map(\.joules) == [9, 0.5] && energy[0].range == 10 && energy[1].range == nil)
    }

    @Test("A counter that begins anew goes on where its range is known, and is unknown elsewhere")
    func wrap() {
        func load(_ joules: Double, range: Double?) -> SystemLoad {
            var load = SystemLoad()
            load.energy = [
                EnergyCounter(name: "a", joules: joules, range: range),
                EnergyCounter(name: "b", joules: 2 * joules, range: 100),
            ]
            return load
        }
        #expect(load(9, range: 10).joules(since: load(7, range: 10)) == 6)
        let around = load(1, range: 10).joules(since: load(9, range: 10)) ?? 0
        #expect(abs(around - (2 + 84)) < 1e-9)
        #expect(load(1, range: nil).joules(since: load(9, range: nil)) == nil)
        #expect(SystemLoad().joules(since: SystemLoad()) == nil)
        let change = LoadChange(from: load(7, range: 10), to: load(9, range: 10))
        #expect(change.joules == 6)
    }

    @Test(
        "Hardware monitors tell of energy by socket, of power and of heat where nothing else does")
    func monitors() throws {
        let monitor = "/sys/class/hwmon/hwmon3/"
        let tree = try FakeTree([
            monitor + "name": "amd_energy\n",
            monitor + "energy1_input": "3000000\n", monitor + "energy1_label": "Ecore000\n",
            monitor + "energy2_input": "8000000\n", monitor + "energy2_label": "Esocket0\n",
            monitor + "temp1_input": "-273000\n", monitor + "temp2_input": "61500\n",
            "/sys/class/hwmon/hwmon0/name": "board\n",
            "/sys/class/hwmon/hwmon0/power1_input": "4500000\n",
        ])
        let sensors = Sensors(root: tree.root.path)
        #expect(sensors.energy == [EnergyCounter(name: "Esocket0", joules: 8)])
        #expect(sensors.celsius == 61.5 && sensors.watts == 4.5)
    }

    @Test("Zones, clocks and throttling are read processor by processor")
    func processors() throws {
        let cpu = "/sys/devices/system/cpu/cpu"
        let tree = try FakeTree([
            "/sys/class/thermal/thermal_zone0/temp": "48000\n",
            "/sys/class/thermal/thermal_zone1/temp": "52250\n",
            cpu + "0/cpufreq/scaling_cur_freq": "1000000\n",
            cpu + "1/cpufreq/scaling_cur_freq": "2000000\n",
            cpu + "0/thermal_throttle/core_throttle_count": "2\n",
            cpu + "1/thermal_throttle/package_throttle_count": "3\n",
            "/proc/cpuinfo": "cpu MHz : 9000.0\n",
        ])
        let load = SystemLoad.now(root: tree.root.path)
        #expect(load.celsius == 52.25 && load.hertz == 1.5e9 && load.throttleCount == 5)
        var later = load
        later.throttleCount = 7
        let change = LoadChange(from: load, to: later)
        #expect(change.throttleCount == 2)
        #expect(change.warnings.contains { $0.contains("2 times") })
    }

    @Test("A machine without any of them says nothing")
    func nothing() throws {
        let sensors = Sensors(root: "/nowhere")
        #expect(sensors.energy.isEmpty && sensors.celsius == nil && sensors.watts == nil)
        #expect(sensors.hertz(info: "") == nil && sensors.throttleCount == nil)
        #expect(sensors.hertz(info: "cpu MHz\t: 3000.5\n") == 3000.5e6)
    }

    @Test("Heat, energy and power over time are in the page, the JSON and the trace")
    func reported() throws {
        var report = knownReport()
        for index in report.timeline.indices {
            report.timeline[index].load.celsius = 40 + Double(index)
            report.timeline[index].load.energy = [
                EnergyCounter(name: "package-0", joules: 100 + 5 * Double(index))
            ]
        }
        #expect(report.html.contains("degrees Celsius") && report.html.contains("watts"))
        let parsed = try JSONSerialization.jsonObject(with: Data(report.json.text.utf8))
        let timeline = try #require((parsed as? [String: Any])?["timeline"] as? [[String: Any]])
        #expect(timeline.map { $0["joules"] as? Double } == [0, 5, 10])
        #expect(timeline.map { $0["celsius"] as? Double } == [40, 41, 42])
        #expect(report.trace.text.contains("degrees Celsius"))
    }
}
