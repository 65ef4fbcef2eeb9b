internal import TesseraImport
internal import TesseraKernels
internal import TesseraResidency
internal import Synchronization
internal import TesseraWeightFile

/// A target's head in a weight file, as floats.
final class TargetHead: DraftTarget {
    var config: ModelConfig { file.config }
    private let file: WeightFile
    private let lookup: Mutex<Lookup>

    /// One row at a time.
    private struct Lookup: Sendable {
        let matrix: Matrix
        let compute: Compute
        let id = Buffer<Int32>(count: 1)
        let row: Buffer<Float>
    }

    /// - Throws: Where the kernels cannot be set up.
    init(_ file: WeightFile) throws {
        let compute = try Compute(threads: 1, tileBytes: file.largestCodedTile)
        self.file = file
        lookup = Mutex(
            Lookup(
                matrix: file.matrix(file.config.headName), compute: compute,
                row: Buffer(count: file.config.hiddenSize)))
    }

    func headRows(_ ids: [Int], into output: inout [Float]) {
        let width = config.hiddenSize
        if output.count < ids.count * width {
            output = Array(repeating: 0, count: ids.count * width)
        }
        lookup.withLock { lookup in
            for (index, id) in ids.enumerated() {
                lookup.id[0] = Int32(id)
                lookup.compute.embed(lookup.matrix, tokens: lookup.id, count: 1, into: lookup.row)
                for column in 0..<width { output[index * width + column] = lookup.row[column] }
            }
        }
    }
}
