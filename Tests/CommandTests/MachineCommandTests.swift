import Foundation
import TesseraTestSupport
import Testing

/// `estimate`, `profile` and `doctor` as a user runs them.
@Suite struct MachineCommandTests {
    private func object(_ arguments: [String], status: Int32 = 0) throws -> [String: Any] {
        let run = try Program.run(arguments)
        #expect(run.status == status, "\(arguments): \(run.errors)")
        return try #require(try run.objects().first)
    }

    /// Bytes of memory with which about half of the standard model's weights are streamed.
    private func half() throws -> Int {
        let refused = try object(
            ["estimate", Models.standard, "--ram", "1M", "--ctx", "256", "--json"], status: 1)
        return try #require(refused["needed_bytes"] as? Int) + 5_000_000
    }

    @Test func anEstimateOfWhatFitsEndsWithZero() throws {
        let plan = try object(["estimate", Models.standard, "--json", "--ctx", "256"])
        #expect(plan["fits"] as? Bool == true && plan["runs"] as? Bool == true)
        #expect(plan["context"] as? Int == 256 && plan["streamed_bytes"] as? Int == 0)
        #expect((plan["tokens_per_second_at_most"] as? Double ?? 0) > 0)
        for key in ["total_bytes", "cache_bytes", "scratch_bytes", "base_bytes", "budget_bytes"] {
            #expect((plan[key] as? Int ?? 0) > 0, "\(key)")
        }
    }

    @Test func anEstimateOfWhatIsStreamedEndsWithOneAndItsPromiseIsGeneratesPlan() throws {
        let size = ["--ram", "\(try half())", "--ctx", "256"]
        let plan = try object(["estimate", Models.standard, "--json"] + size, status: 1)
        #expect(plan["runs"] as? Bool == true && plan["fits"] as? Bool == false)
        let streamed = try #require(plan["streamed_bytes"] as? Int)
        let total = try #require(plan["total_bytes"] as? Int)
        let budget = try #require(plan["budget_bytes"] as? Int)
        #expect(streamed > 0 && total <= budget)
        let text = try Program.run(["estimate", Models.standard] + size)
        #expect(text.status == 1 && text.output.contains("tokens per second"))
        let run = try Program.run(
            ["generate", Models.standard, "-p", "Hello", "-n", "2", "--json", "--temp", "0"] + size)
        #expect(run.status == 0, "\(run.errors)")
        let result = try #require(try run.objects().first)
        #expect(result["streamed_bytes"] as? Int == streamed)
        #expect(result["hot_bytes"] as? Int == plan["hot_bytes"] as? Int)
    }

    @Test func tooLittleMemoryIsRefusedAlikeInTheUnitThatWasAsked() throws {
        for size in ["5M", "5MB"] {
            let arguments = ["--ram", size, "--ctx", "256"]
            let estimate = try Program.run(["estimate", Models.standard] + arguments)
            let generate = try Program.run(
                ["generate", Models.standard, "-p", "Hello", "-n", "2"] + arguments)
            #expect(estimate.status == 1 && generate.status != 0)
            #expect(estimate.errors == generate.errors)
            #expect(estimate.errors.hasPrefix("tessera: --ram \(size)"), "\(estimate.errors)")
            // The memory that the error asks for is enough.
            let words = estimate.errors.split(separator: " ")
            let index = try #require(words.lastIndex(of: "--ram"))
            let enough = try Program.run(
                ["estimate", Models.standard, "--ctx", "256", "--ram", String(words[index + 1])])
            #expect(enough.output.contains("in memory"), "\(enough.errors)")
        }
    }

    @Test func aFileMadeForSomeMemoryRunsInIt() throws {
        let folder = try TemporaryFolder()
        let file = folder.file("small.tsr")
        let made = try Program.run(
            ["quantize", Models.folder, "-o", file, "--ram", "40M"])
        #expect(made.status == 0, "\(made.errors)")
        let plan = try object(["estimate", file, "--ram", "40M", "--json"])
        #expect(plan["fits"] as? Bool == true)
        let refused = try Program.run(
            ["quantize", Models.folder, "-o", folder.file("none.tsr"), "--ram", "2M"])
        #expect(refused.status == 64 && refused.errors.contains("--ram 2M: too little"))
    }

    @Test func moreThreadsThanProcessorsAreSaidAndNotStarted() throws {
        let run = try Program.run(
            ["generate", Models.standard, "-p", "Hello", "-n", "2", "--json", "-t", "1000"])
        let threads = try #require(try run.objects().first?["threads"] as? Int)
        #expect(run.status == 0 && threads < 1000)
        #expect(run.errors.contains("--threads 1000: this process may use"))
    }

    @Test func thePaceOfADiskIsMeasuredOnce() throws {
        let folder = try TemporaryFolder()
        let environment = ["TESSERA_CACHE": folder.url.path]
        let size = ["--ram", "\(try half())", "--ctx", "256"]
        let command = ["generate", Models.standard, "-p", "Hello", "-n", "2"] + size
        let first = try Program.run(command, environment: environment)
        #expect(first.status == 0, "\(first.errors)")
        let paces = folder.url.appending(path: "reading-pace")
        let name = try #require(
            try FileManager.default.contentsOfDirectory(atPath: paces.path).first)
        let line = try String(contentsOf: paces.appending(path: name), encoding: .utf8)
        let method = try #require(line.split(separator: " ").first)
        #expect(["direct", "buffered", "mapped"].contains(String(method)))
        // Another pace there is believed, and nothing is measured.
        try Data("buffered 123000000\n".utf8).write(to: paces.appending(path: name))
        let second = try Program.run(command, environment: environment)
        #expect(second.errors.contains("123 MB/s (buffered)"), "\(second.errors)")
    }

    @Test func aProfileIsJSONWithItsOriginAndNoWarningOfMemory() throws {
        let folder = try TemporaryFolder()
        let page = folder.file("profile.html")
        let profile = try object([
            "profile", Models.standard, "--passes", "1,2", "--repetitions", "3", "--json",
            "--html", page,
        ])
        for key in ["program", "host", "test_time", "passes", "limits", "machine", "warnings"] {
            #expect(profile[key] != nil, "\(key)")
        }
        #expect((profile["passes"] as? [Any])?.count == 2)
        #expect((profile["program"] as? String)?.hasPrefix("tessera ") == true)
        let warnings = profile["warnings"] as? [String] ?? []
        let memory = (profile["machine"] as? [String: Any])?["memory"] as? [String: Any]
        // On machines with memory enough to read past every cache.
        if (memory?["available_bytes"] as? Int ?? 0) > 16 << 30, memory?["group_limit_bytes"] == nil
        {
            #expect(!warnings.contains { $0.contains("largest cache") }, "\(warnings)")
        }
        let html = try String(contentsOfFile: page, encoding: .utf8)
        #expect(html.contains(try #require(profile["test_time"] as? String)))
        #expect(html.contains(try #require(profile["host"] as? String)))
    }

    @Test func pagesOfAProfileNeedFilesOfTheirOwn() throws {
        let folder = try TemporaryFolder()
        try folder.write("", to: "there")
        let shell = "cd \(folder.url.path) && ln -sf new link && rm -f pipe && mkfifo pipe && "
        let command = "$T profile \(Models.standard) --passes 1 --repetitions 3"
        for pages in [
            "--html new --trace ./new", "--plot new --html link", "--html there --trace there",
            "--plot there > there", "--json --trace there >> there", "--html pipe --plot pipe",
            "--html /dev/stdout | cat; exit ${PIPESTATUS[0]}",
        ] {
            let run = try Program.shell("\(shell) \(command) \(pages)")
            #expect(run.status == 64 && run.output.isEmpty, "\(pages)")
            #expect(
                run.errors.hasSuffix("file\n") || run.errors.hasSuffix("for each\n"),
                "\(run.errors)")
        }
        let run = try Program.shell(
            "\(shell) \(command) --html new --trace /dev/null --plot /dev/null")
        #expect(run.status == 0, "\(run.errors)")
    }

    @Test func twoSizesArePredictedFromWithoutAClaimOfAccuracy() throws {
        let run = try Program.run([
            "profile", Models.standard, "--passes", "1,8", "--repetitions", "3",
            "--target-threads", "1",
        ])
        #expect(run.status == 0, "\(run.errors)")
        #expect(run.output.contains("predicted for") && !run.output.contains("within 0%"))
    }

    @Test func doctorTellsTheMachine() throws {
        let machine = try object(["doctor", "--json"])
        for key in ["processor", "threads", "memory", "caches", "limits", "advice", "isa"] {
            #expect(machine[key] != nil, "\(key)")
        }
        #expect((machine["threads"] as? Int ?? 0) >= 1)
        let text = try Program.run(["doctor", "--disk", Models.standard])
        #expect(text.status == 0 && text.output.contains("disk "))
        let missing = try Program.run(["doctor", "--disk", "/nonexistent/file"])
        #expect(missing.status == 66 && missing.output.isEmpty)
    }
}
