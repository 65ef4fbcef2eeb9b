import TesseraDecoding
import TesseraProfiling

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

/// What the program saved for people, and reads again: the first byte chooses which.
enum SavedTarget {
    private static let folder = InputFolder("saved")

    static func run(_ bytes: [UInt8]) {
        var input = InputBytes(bytes)
        switch input.choice(2) {
        case 0: readProfile(folder.write(input.rest, to: "profile.json"))
        default: readMachine(folder.write(input.rest, to: "machine.json"))
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
}
