import Glibc

private func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

/// The target that `TESSERA_FUZZ_TARGET` names.
private let chosen: FuzzTarget = {
    let name = environment("TESSERA_FUZZ_TARGET") ?? ""
    guard let target = FuzzTarget(rawValue: name) else {
        let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: "\n")
        print(names)
        exit(name == "list" ? 0 : 64)
    }
    return target
}()

/// Writes the target's seeds to the folder that `TESSERA_FUZZ_SEEDS` names, and tells libFuzzer how large
/// inputs may become. Without such a target: lists those that there are, and ends.
@_cdecl("LLVMFuzzerInitialize")
public func initializeFuzzing(
    _ count: UnsafeMutablePointer<CInt>,
    _ arguments: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>>
) -> CInt {
    let target = chosen
    if let folder = environment("TESSERA_FUZZ_SEEDS") {
        for (index, seed) in target.seeds.enumerated() {
            InputFolder.write(seed, to: "\(folder)/seed-\(index)")
        }
    }
    let given = (0..<Int(count.pointee)).map { arguments.pointee[$0] }
    let all = given + [strdup("-max_len=\(target.largestInput)"), nil]
    let copy = UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>.allocate(
        capacity: all.count)
    _ = copy.initialize(from: all)
    arguments.pointee = copy.baseAddress!
    count.pointee += 1
    return 0
}

/// What libFuzzer calls for each input.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    chosen.run(Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}
