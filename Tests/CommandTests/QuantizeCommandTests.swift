import Foundation
import TesseraTestSupport
import Testing

/// `tessera quantize` as a user runs it, on a model of a hundred thousand weights.
@Suite(.timeLimit(.minutes(30))) struct QuantizeCommandTests {
    private let folder: TemporaryFolder

    init() throws { folder = try TemporaryFolder() }

    private func quantize(_ options: String...) throws -> Program.Outcome {
        try Program.run(
            ["quantize", Models.folder, "-o", folder.file("x.tsr"), "--force"] + options)
    }

    private func size() throws -> Int {
        let values = try FileManager.default.attributesOfItem(atPath: folder.file("x.tsr"))
        return try #require(values[.size] as? Int)
    }

    private func problem(_ options: String...) throws -> String {
        // Slow machines would report the progress of a calibration.
        let unasked = options.contains("--kl") ? [] : ["--calibrate", "off"]
        let run = try Program.run(
            ["quantize", Models.folder, "-o", folder.file("x.tsr")] + options + unasked)
        #expect(run.status == 64 && run.output.isEmpty)
        #expect(run.errors.split(separator: "\n").count == 1, "\(run.errors)")
        #expect(folder.names.isEmpty)
        return run.errors
    }

    @Test func sizesAreAnsweredInTheUnitThatWasAsked() throws {
        let range = "to 8 bits per weight, plain codes have 4, 5, 6, 8, 16 or 32"
        #expect(try problem("--bits", "1", "--codec", "zstd").contains("zstd takes 1.5 \(range)"))
        let nine = try problem("--bits", "9")
        #expect(nine.contains("--bits 9 is out of range; --codec auto takes 1 \(range)"))
        let bits = try problem("--bits", "1.5", "--codec", "zstd")
        #expect(bits.contains("--bits 1.5: too few") && bits.hasSuffix(" bits per weight\n"))
        let size = try problem("--size", "5K")
        #expect(size.contains("--size 5K: too small") && size.hasSuffix(" kB\n"))
        let memory = "too little; the program, the cache and buffers alone take"
        #expect(try problem("--ram", "5M").contains("--ram 5M: \(memory)"))
        #expect(try problem("--ram", "3").contains("write 3G for gigabytes or 3M for megabytes"))
        #expect(try problem("--size", "4").contains("--size 4 is 4 bytes"))
        #expect(
            try problem("--tensor", "*x*=int8").contains("no tensor of the model has such a name"))
    }

    /// The size that an error calls the least is enough.
    @Test func theLeastThatIsNamedWorks() throws {
        let words = try problem("--bits", "1.5", "--codec", "zstd").split(separator: " ")
        let least = try #require(words.dropLast(3).last)
        let options = ["--codec", "zstd", "--calibrate", "off"]
        let run = try Program.run(
            ["quantize", Models.folder, "-o", folder.file("x.tsr"), "--bits", String(least)]
                + options)
        #expect(run.status == 0)
    }

    @Test(arguments: ["zstd", "rans"])
    func aFileIsNeverLargerThanItsSize(codec: String) throws {
        for limit in [52_000, 61_000, 70_000] {
            let run = try quantize("--size", "\(limit)", "--codec", codec)
            #expect(run.status == 0)
            #expect(try size() <= limit && size() > limit * 9 / 10)
        }
        let run = try quantize("--size", "1MB", "--codec", codec)
        #expect(run.status == 0)
        #expect(run.errors.contains("of 1MB are used"))
    }

    @Test func inspectNamesHowTensorsAreStored() throws {
        #expect(try quantize("--bits", "5.5", "--codec", "trellis").status == 0)
        let text = try Program.run(["inspect", folder.file("x.tsr")]).output
        #expect(text.contains("int8 trellis"))
        let json = try Program.run(["inspect", folder.file("x.tsr"), "--json"]).objects()
        let encodings = try #require(json.first?["encodings"] as? [[String: Any]])
        #expect(Set(encodings.compactMap { $0["storage"] as? String }) == ["plain", "trellis"])
        #expect(encodings.allSatisfy { $0["bits_per_weight"] is Double })
    }

    /// The reported time is that of the whole command, measuring included.
    @Test func allOfTheTimeCounts() throws {
        let start = ContinuousClock.now
        let run = try quantize("--bits", "5", "--json")
        let whole = ContinuousClock.now - start
        let told = try #require(run.objects().first?["seconds"] as? Double)
        #expect(told > 0.5 * Double(whole.components.seconds))
    }

    @Test func aDryRunWritesNothing() throws {
        let run = try Program.run(
            ["quantize", Models.folder, "--bits", "5.5", "--codec", "zstd", "--dry-run"])
        #expect(run.status == 0)
        #expect(run.output.contains("-> int8 zstd"))
        #expect(run.output.contains("total about "))
        let json = try Program.run(["quantize", Models.folder, "--dry-run", "--json"]).objects()
        #expect((json.first?["tensors"] as? [Any])?.count == 21)
    }

    /// A table shows the other plans; the chosen one is written.
    @Test func alternativesAreShown() throws {
        let run = try quantize("--bits", "5.5")
        #expect(run.errors.contains("expected KL"))
        #expect(run.errors.contains("  ->  "))
        let json = try quantize("--kl", "0.05", "--json").objects()
        let ways = try #require(json.first?["alternatives"] as? [[String: Any]])
        #expect(Set(ways.compactMap { $0["storage"] as? String }) == ["plain", "zstd", "trellis"])
        let chosen = ways.filter { $0["chosen"] as? Bool == true }
        #expect(chosen.count == 1)
        let divergence = try #require(chosen.first?["expected_kl"] as? Double)
        #expect(divergence <= 0.05)
        #expect(chosen[0]["expected_tokens_per_second"] is Double)
        let planned = try #require(chosen[0]["file_bytes"] as? Int)
        #expect(try abs(size() - planned) < planned / 20)
    }

    @Test func aDivergenceNeedsCalibration() throws {
        #expect(
            try problem("--kl", "0.02", "--calibrate", "off").contains("--kl needs calibration"))
        #expect(try problem("--kl", "0.02", "--bits", "4").contains("give one of"))
        #expect(try problem("--kl", "0").contains("--kl takes"))
    }

    @Test func calibrationLeavesNothingBehind() throws {
        let text = try folder.write(String(repeating: "one two three ", count: 400), to: "text")
        let options = ["--bits", "5", "--calibrate", text, "--calibration-tokens", "256"]
        let command = ["quantize", Models.folder, "-o", folder.file("x.tsr")] + options
        #expect(try Program.run(command).status == 0)
        #expect(folder.names == ["text", "x.tsr"])
        // The copy has no name while it is used: not even a kill leaves it.
        let run = try Program.start(command + ["--force"])
        #expect(run.wait { folder.names.contains("x.tsr.calibration.tsr.partial") })
        #expect(run.wait { !folder.names.contains { $0.hasPrefix("x.tsr.calibration") } })
        run.send(signal: SIGKILL)
        #expect(try run.outcome().status == 128 + SIGKILL)
        #expect(!folder.names.contains { $0.hasPrefix("x.tsr.calibration") })
    }

    @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
    func aSignalEndsAConversionAndLeavesNothing(number: Int32) throws {
        let run = try Program.start(
            ["quantize", "synthetic:smollm2-135m", "-o", folder.file("x.tsr"), "--bits", "16"])
        #expect(run.wait { folder.names.contains("x.tsr.journal") })
        run.send(signal: number)
        #expect(try run.outcome().status == 128 + number)
        #expect(folder.names.isEmpty)
    }

    @Test func aSecondWriterOfAFileIsRefused() throws {
        let command = [
            "quantize", "synthetic:smollm2-135m", "-o", folder.file("x.tsr"), "--bits", "16",
        ]
        let first = try Program.start(command)
        #expect(first.wait { folder.names.contains("x.tsr.journal") })
        let second = try Program.run(command)
        #expect(second.status == 73)
        #expect(second.errors.contains("another process is writing this file"))
        first.send(signal: SIGTERM)
        #expect(try first.outcome().status == 143)
    }
}
