import Foundation
import TesseraKernels
import TesseraResidency
import Testing
import TesseraTransformer

@testable import TesseraProfiling

@Suite("Prediction for another machine")
struct PredictionTests {
    private let here = MachineLimits(readBytesPerSecond: 10e9, int8MacsPerSecond: 100e9)

    /// Passes that take exactly what `model` says.
    private func points(_ model: PassModel) -> [(work: PassWork, seconds: Double)] {
        [1, 2, 4, 8, 16, 32].map {
            let work = PassWork(bytes: 4e9, macs: 7e9 * $0)
            return (work, model.seconds(work, here))
        }
    }

    @Test("A fit finds the model that made the times", arguments: [1, 1.5, 2, 4])
    func fit(_ exponent: Double) {
        let truth = PassModel(readFactor: 1.2, multiplyFactor: 2.5, exponent: exponent)
        let fit = PassModel(points(truth), limits: here)
        #expect(fit.exponent == exponent && (fit.fitError ?? 1) < 1e-9)
        #expect(abs(fit.readFactor - 1.2) < 1e-6 && abs(fit.multiplyFactor - 2.5) < 1e-6)
    }

    @Test("One size of pass stretches both kinds of time alike")
    func single() {
        let work = PassWork(bytes: 1e9, macs: 10e9)
        let fit = PassModel([(work, 0.4)], limits: here)
        #expect(abs(fit.readFactor - 2) < 1e-9 && abs(fit.multiplyFactor - 2) < 1e-9)
    }

    @Test("Two sizes say nothing about how well two factors fit")
    func unchecked() {
        for count in 1...2 {
            let fit = PassModel(Array(points(truth).prefix(count)), limits: here)
            #expect(fit.fitError == nil)
        }
        #expect(PassModel(Array(points(truth).prefix(3)), limits: here).fitError != nil)
    }

    private var truth: PassModel { PassModel(readFactor: 1.2, multiplyFactor: 2.5) }

    @Test("Factors are never negative")
    func factors() {
        // Times that fall with the work: nothing a sum of two parts can follow.
        let odd = [1.0, 2, 4].map { (PassWork(bytes: 1e9, macs: 1e9 * $0), 1 / $0) }
        let fit = PassModel(odd, limits: here)
        #expect(fit.readFactor >= 0 && fit.multiplyFactor >= 0 && (fit.fitError ?? 0) > 0.1)
    }

    @Test("Reading twice as fast halves what reading takes, and only that")
    func scaling() {
        let model = PassModel(readFactor: 1, multiplyFactor: 1)
        let work = PassWork(bytes: 2e9, macs: 30e9)
        #expect(abs(model.seconds(work, here) - 0.5) < 1e-12)
        let faster = MachineLimits(readBytesPerSecond: 20e9, int8MacsPerSecond: 100e9)
        #expect(abs(model.seconds(work, faster) - 0.4) < 1e-12)
    }

    @Test("On the same machine a prediction gives the times of the fit back")
    func identity() {
        let report = knownReport()
        let prediction = Prediction(report, on: TargetMachine(limits: report.limits))
        #expect(prediction.rows.map(\.positions) == [1, 4])
        for row in prediction.rows {
            #expect(
                abs(row.seconds / row.measuredSeconds - 1) <= (prediction.model.fitError ?? 0)
                    + 1e-9)
            #expect(row.diskSeconds == 0 && row.range == row.seconds...row.seconds)
        }
        #expect(prediction.breakEven(prediction.rows[0]) == 1)
    }

    /// A report about 1 MB of weights in 100 tiles that need 0.5 MB in addition.
    private func planned() throws -> ProfileReport {
        var report = knownReport()
        report.model.plan = try ResidencyPlan(
            items: [ResidencyPlan.Item(name: "w", tiles: Array(repeating: 10_000, count: 100))],
            mappedBytes: 0, needs: ResidencyPlan.Needs(cache: 0, scratch: 0, base: 500_000),
            budget: MemoryBudget(bytes: 10_000_000, source: .machine))
        return report
    }

    @Test("What the plan for the target's memory leaves on disk is read in every pass")
    func memory() throws {
        let report = try planned()
        var target = TargetMachine(
            limits: report.limits, memoryBytes: 1_300_000, diskBytesPerSecond: 1e6)
        var prediction = Prediction(report, on: target)
        #expect(prediction.neededBytes == 1_500_000)
        // At least what is more than memory; more, since streaming takes a window.
        #expect((200_000...1_000_000).contains(prediction.streamedBytes))
        let row = prediction.rows[0]
        #expect(abs(row.diskSeconds - prediction.streamedBytes / 1e6) < 1e-12)
        #expect(row.range == max(row.seconds, row.diskSeconds)...row.seconds + row.diskSeconds)
        target.memoryBytes = 3_000_000
        #expect(Prediction(report, on: target).rows[0].diskSeconds == 0)
        target.memoryBytes = 1
        prediction = Prediction(report, on: target)
        #expect(prediction.rows[0].range.upperBound == .infinity)
        #expect(prediction.breakEven(prediction.rows[1]) == nil)
        #expect(prediction.text(tokensPerPass: 3).contains("does not do"))
        #expect(throws: Never.self) {
            try JSONSerialization.jsonObject(with: Data(prediction.json.text.utf8))
        }
    }

    @Test("Steps that neither read weights nor multiply last as long on a faster machine")
    func otherSteps() {
        var report = knownReport()
        var times = OperationTimes(layerCount: 1)
        times.append([
            PassStep(operation: .activation, layer: 0, start: 0, end: 400_000),
            PassStep(operation: .down, layer: 0, start: 400_000, end: 1_000_000),
        ])
        for index in report.passes.indices {
            report.passes[index].samples.operations = times
            report.passes[index].operationWork[.down] = PassWork(bytes: 1e6, macs: 1e6)
        }
        let limits = MachineLimits(
            readBytesPerSecond: report.limits.readBytesPerSecond * 1e9,
            int8MacsPerSecond: report.limits.int8MacsPerSecond * 1e9)
        for row in Prediction(report, on: TargetMachine(limits: limits)).rows {
            #expect(abs(row.seconds - 4e-4) < 1e-6)
        }
    }

    @Test("The description of a machine is read back from what doctor prints")
    func machine() throws {
        var report = MachineReport()
        report.isa = "avx2"
        report.threads = 3
        report.facts.availableBytes = 5_000
        report.facts.group.memoryLimit = 4_000
        report.reading = [
            .init(threads: 1, bytesPerSecond: 4e9, macsPerSecond: 3e9),
            .init(threads: 3, bytesPerSecond: 7e9, macsPerSecond: 9e9),
        ]
        report.multiplying = [.init(isa: "avx2", macsPerSecond: 9e9)]
        report.disk = DiskRate(bytes: 100, seconds: 0.5, isDirect: true)
        let path = FileManager.default.temporaryDirectory
            .appending(path: "tessera-machine-\(UUID().uuidString).json").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try Data(report.json.text.utf8).write(to: URL(filePath: path))
        let machine = try TargetMachine(path: path)
        #expect(machine.limits == report.limits && machine.threads == 3)
        #expect(machine.memoryBytes == 4_000 && machine.diskBytesPerSecond == 200)
        let one = try TargetMachine(path: path, threads: 1)
        #expect(one.limits.readBytesPerSecond == 4e9 && one.limits.int8MacsPerSecond == 3e9)
        #expect(throws: ProfilingError.unknownThreads(2, measured: [1, 3])) {
            try TargetMachine(path: path, threads: 2)
        }
        try Data("{}".utf8).write(to: URL(filePath: path))
        #expect(throws: ProfilingError.notAMachine(path)) { try TargetMachine(path: path) }
        let known = knownReport()
        #expect(Prediction(known, on: machine).text(tokensPerPass: nil).contains("measured with 2"))
    }
}
