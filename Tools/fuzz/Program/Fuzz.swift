import TesseraFuzzTargets

// Tools/fuzz/run builds this with libFuzzer, whose `main` it then is.
#if LIBFUZZER
#else
    /// Runs inputs through a target once more, without libFuzzer: `fuzz TARGET FILE...`.
    @main enum Fuzz {
        static func main() {
            let arguments = CommandLine.arguments.dropFirst()
            guard let target = arguments.first.flatMap(FuzzTarget.init), arguments.count > 1 else {
                let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: "|")
                fatalError("usage: fuzz \(names) FILE...")
            }
            for path in arguments.dropFirst() {
                print(path)
                target.run(file: path)
            }
        }
    }
#endif
