import Foundation
import TesseraFuzzTargets
import Testing

/// Every fuzz target over its seeds, over what was found before, and over a fixed number of seeded
/// mutations. A broken promise ends the process; `Tools/fuzz/run` looks further, with AddressSanitizer.
@Suite(.timeLimit(.minutes(30))) struct FuzzTests {
    private static func mutations(_ target: FuzzTarget) -> Int {
        switch target {
        case .weightFile, .blocks, .pattern, .logits, .saved: 2000
        case .gguf, .safetensors, .json, .tokenizer, .tiles, .session, .grammar: 500
        case .template: 0
        }
    }

    @Test(arguments: FuzzTarget.allCases)
    func anyBytesAreReadOrRefused(target: FuzzTarget) throws {
        let seeds = target.seeds
        #expect(seeds.count > 0)
        // The input at work stays here if it ends the process.
        let file = FileManager.default.temporaryDirectory
            .appending(
                path: "tessera-fuzz-\(target.rawValue)-\(ProcessInfo.processInfo.processIdentifier)"
            )
        defer { try? FileManager.default.removeItem(at: file) }
        func run(_ bytes: [UInt8]) throws {
            try Data(bytes).write(to: file)
            target.run(bytes)
        }
        for seed in seeds { try run(seed) }
        var mutator = Mutator(seed: 1)
        for _ in 0..<Self.mutations(target) {
            try run(mutator.mutation(of: seeds, largest: target.largestInput))
        }
    }
}
