import Decoding
import Profiling

/// A file of logits.
enum LogitsTarget {
    private static let folder = InputFolder("logits")

    static func run(_ bytes: [UInt8]) {
        let path = folder.write(bytes, to: "text.logits")
        do throws(LogitFileError) {
            let reader = try LogitReader(path: path)
            precondition(reader.ids.count > 1 && reader.ids.count * 4 < bytes.count)
            var row = [Float](repeating: 0, count: reader.vocabulary)
            for _ in 1..<reader.ids.count { try reader.read(into: &row) }
        } catch {
            precondition(!error.description.isEmpty)
        }
    }
}

/// What the program saved for itself or for people, and reads again: the first byte chooses which.
enum SavedTarget {
    private static let folder = InputFolder("saved")

    static func run(_ bytes: [UInt8]) {
        var input = InputBytes(bytes)
        switch input.choice(3) {
        case 0: readProfile(folder.write(input.rest, to: "profile.json"))
        case 1: readMachine(folder.write(input.rest, to: "machine.json"))
        default: readCache(String(decoding: input.rest, as: UTF8.self))
        }
    }

    private static func readProfile(_ path: String) {
        do throws(ProfilingError) {
            let profile = try SavedProfile(path: path)
            let comparison = Comparison(profile, profile)
            precondition(!comparison.text().isEmpty && !comparison.json.text.isEmpty)
            precondition(!comparison.hasRegression, "a profile is slower than itself")
        } catch {
            precondition(!error.description.isEmpty)
        }
    }

    private static func readMachine(_ path: String) {
        for threads in [nil, 2] {
            do throws(ProfilingError) {
                let machine = try TargetMachine(path: path, threads: threads)
                precondition(machine.limits.readBytesPerSecond > 0)
            } catch {
                precondition(!error.description.isEmpty)
            }
        }
    }

    /// Times of passes and experience, as lines of one file: what follows from them is within its limits.
    private static func readCache(_ text: String) {
        let lines = text.split(separator: "\n").map { String($0) }
        let costs = PassCosts(reading: lines)
        let experience = Experience(trained: 8).reading(lines)
        precondition(experience.offsets.chances.allSatisfy { (0...1).contains($0) })
        let merged = experience.merged(with: experience)
        precondition(merged.offsets.chances.allSatisfy { (0...1).contains($0) })
        for slides in [false, true] {
            let policy = AdaptiveBlockSize(
                costs: costs, largest: 16, slides: slides, experience: experience)
            precondition((1...16).contains(policy.nextBlockSize()))
        }
        var draft = Draft()
        for (token, confidence) in [(1, 0.9), (2, 0.5), (3, 0.1)] as [(Int32, Float)] {
            draft.append(token, confidence)
        }
        let plan = AdaptiveDraft(costs: costs, largest: 16, experience: experience)
            .plan(draft, given: 1, limit: 16)
        precondition((0...3).contains(plan.verified) && (0...16).contains(plan.masks))
    }
}
