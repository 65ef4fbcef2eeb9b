import TesseraKernels

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Times the matrix kernels on the shapes of real models and divides by what the machine can do.
///
///     kernel-bench [--threads N] [--isa NAME] [--encoding int4|int4Nested|int8|...] [--runs N]
///                  [--tokens 1,2,4,...] [--shape ROWSxCOLUMNS] [--json FILE]
///     kernel-bench --decode 1 [--threads N] [--isa NAME] [--runs N]     coded tiles instead
///     kernel-bench --attention 1 [--threads N] [--isa NAME] [--runs N]  attention over the cache
///
/// Each run measures the limits and then every shape and number of tokens once; a figure is the
/// median over the runs, and so is a share of a limit, of the limits measured in the same run.
@main struct KernelBench {
    static func main() {
        do {
            let options = try BenchOptions(Array(CommandLine.arguments.dropFirst()))
            if options.decodes {
                let compute = try Compute(
                    isa: options.isa, threads: options.threads, tileBytes: 1 << 20)
                print(try Decoding.table(compute, runs: options.runs))
                return
            }
            let compute = try Compute(isa: options.isa, threads: options.threads)
            if options.attends {
                print(AttentionTimes.table(compute, runs: options.runs))
                return
            }
            let report = Report(compute: compute, rows: run(options, compute))
            print(report.table)
            if let path = options.json { try report.write(to: path) }
        } catch {
            let message = Array("kernel-bench: \(error)\n".utf8)
            _ = unsafe message.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
            exit(64)
        }
    }

    /// One row per encoding, shape and number of tokens.
    private static func run(_ options: BenchOptions, _ compute: Compute) -> [Report.Row] {
        var rows: [Report.Row] = []
        for encoding in options.encodings {
            for shape in options.shapes {
                let workload = Workload(shape, encoding, tokens: options.tokens.max() ?? 1)
                compute.quantize(workload.input, tokens: workload.input.tokenCapacity)
                var samples = options.tokens.map { _ in [Report.Sample]() }
                for _ in 0..<options.runs {
                    let limits = compute.measureLimits(runs: 5)
                    for (index, tokens) in options.tokens.enumerated() {
                        let seconds = workload.seconds(on: compute, tokens: tokens)
                        samples[index].append(Report.Sample(seconds: seconds, limits: limits))
                    }
                }
                for (tokens, samples) in zip(options.tokens, samples) {
                    rows.append(Report.Row(workload, tokens: tokens, samples: samples))
                }
            }
        }
        return rows
    }
}

/// What the command line asks for.
struct BenchOptions {
    var threads: Int?
    var isa: String?
    var json: String?
    var runs = 5
    var decodes = false
    var attends = false
    var tokens = [1, 2, 4, 8, 16, 32, 64]
    var encodings: [Matrix.Encoding] = [.int4, .int8]
    /// Llama-3.1-8B: attention output, up or gate, down, head; SmolLM2-135M: up or gate, down.
    var shapes = [
        Shape(rows: 4096, columns: 4096), Shape(rows: 14336, columns: 4096),
        Shape(rows: 4096, columns: 14336), Shape(rows: 128_256, columns: 4096),
        Shape(rows: 1536, columns: 576), Shape(rows: 576, columns: 1536),
    ]

    enum Mistake: Error, CustomStringConvertible {
        case argument(String)
        var description: String {
            switch self {
            case .argument(let text): "cannot make sense of '\(text)'; see KernelBench.swift"
            }
        }
    }

    init(_ arguments: [String]) throws(Mistake) {
        var rest = arguments[...]
        while let name = rest.popFirst() {
            guard let value = rest.popFirst() else { throw .argument(name) }
            let numbers = value.split { $0 == "," || $0 == "x" }.compactMap { Int($0) }
            switch name {
            case "--threads": threads = numbers.first
            case "--isa": isa = value
            case "--json": json = value
            case "--decode": decodes = numbers.first != 0
            case "--attention": attends = numbers.first != 0
            case "--runs": runs = max(1, numbers.first ?? 0)
            case "--tokens" where !numbers.isEmpty: tokens = numbers
            case "--shape" where numbers.count == 2:
                shapes = [Shape(rows: numbers[0], columns: numbers[1])]
            case "--encoding" where Self.names[value] != nil:
                encodings = Self.names[value].map { [$0] } ?? []
            default: throw .argument("\(name) \(value)")
            }
        }
    }

    private static let names = Dictionary(
        uniqueKeysWithValues: Matrix.Encoding.allCases.map { ("\($0)", $0) })
}
