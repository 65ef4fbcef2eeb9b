import Foundation
import TesseraImport
import TesseraKernels
import TesseraWeightFile

/// A synthetic model whose matrices are given in blocks of a quantized type.
struct BlockSource: TensorSource {
    static let types: [SourceType] = [
        .q4_0, .q4_1, .q5_0, .q5_1, .q8_0, .q2_K, .q3_K, .q4_K, .q5_K, .q6_K,
    ]

    let base: any TensorSource
    let type: SourceType
    let tensors: [SourceTensor]
    /// A value put into the middle of one tensor of floats.
    var poison: Float?
    /// The scale of one group of it: row 3, columns 32..<64; of K-quants the row's first factor.
    var scale: Float16?
    /// In a group whose first code is -128, the other codes, from what they would be.
    var lowest: (@Sendable (UInt8) -> UInt8)?
    let poisoned = "model.layers.1.mlp.up_proj.weight"

    init(_ type: SourceType) throws {
        base = try openModel(at: "synthetic:tiny")
        self.type = type
        // Columns of K-quants are multiples of 256 there; tests may break that rule.
        tensors = base.tensors.map {
            SourceTensor(
                name: $0.name, rows: $0.rows, columns: $0.columns,
                type: $0.rows > 1 && $0.columns % 32 == 0 ? type : .f32)
        }
    }

    var config: ModelConfig { base.config }
    var tokenizer: TokenizerTables { base.tokenizer }
    var chatTemplate: String? { nil }
    var origin: String { "blocks" }
    var sourceBytes: Int { base.sourceBytes }

    /// The values of the codes, by the runtime's definition of the encoding.
    func read(
        _ tensor: SourceTensor, rows: Range<Int>, into output: inout [Float]
    ) throws(ImportError) {
        guard let blocks = try readBlocks(tensor, rows: rows) else {
            try base.read(tensor, rows: rows, into: &output)
            if let poison, tensor.name == poisoned, rows.contains(3) {
                output[(3 - rows.lowerBound) * tensor.columns + 5] = poison
            }
            return
        }
        let (groups, supers) = (tensor.columns / 32, (tensor.columns + 255) / 256)
        for row in 0..<rows.count {
            for column in 0..<tensor.columns {
                let group = row * groups + column / 32
                let number = blocks.integers.isEmpty ? group : row * supers + column / 256
                let scale = Float(blocks.scales[number])
                let less = blocks.minimums.isEmpty ? 0 : Float(blocks.minimums[number])
                let code = Float(blocks.codes[row * tensor.columns + column])
                func integer(_ index: Int) -> UInt8 { blocks.integers[2 * group + index] }
                func signed() -> Float { Float(Int8(bitPattern: integer(column % 32 / 16))) }
                output[row * tensor.columns + column] =
                    switch type {
                    case .q4_0: scale * (code - 8)
                    case .q5_0: scale * (code - 16)
                    case .q4_1, .q5_1: scale * code + less
                    case .q2_K:
                        scale * Float(integer(column % 32 / 16) & 15) * code
                            - less * Float(integer(column % 32 / 16) >> 4)
                    case .q4_K, .q5_K:
                        scale * Float(integer(0)) * code - less * Float(integer(1))
                    case .q3_K: scale * signed() * (code - 4)
                    case .q6_K: scale * signed() * (code - 32)
                    default: scale * (code - 128)
                    }
            }
        }
    }

    func readBlocks(
        _ tensor: SourceTensor, rows: Range<Int>
    ) throws(ImportError) -> SourceBlocks? {
        guard tensor.type == type, let encoding = type.codeEncoding else { return nil }
        func mixed(_ index: Int) -> UInt32 {
            var z = UInt32(truncatingIfNeeded: index) &* 0x9e37_79b9
            z ^= z >> 15
            return z &* 0x85eb_ca6b >> 8
        }
        let range = rows.lowerBound * tensor.columns..<rows.upperBound * tensor.columns
        let top = UInt32(1) << UInt32(encoding.codeBits)
        var codes = range.map { index in
            type == .q8_0 ? UInt8(1 + mixed(index) % 255) : UInt8(mixed(index) % top)
        }
        let isNested = "\(encoding)".hasSuffix("Nested")
        let each = isNested ? (tensor.columns + 255) / 256 : tensor.columns / 32
        var scales = (rows.lowerBound * each..<rows.upperBound * each).map {
            Float16(mixed($0) % 100) / 4096
        }
        let minimums =
            [.q4_1, .q5_1, .q2_K, .q4_K, .q5_K].contains(type) ? scales.map { $0 * -7 } : []
        if tensor.name == poisoned, rows.contains(3) {
            let (row, first) = (3 - rows.lowerBound, isNested ? 0 : 1)
            if let scale { scales[row * each + first] = scale }
            if let lowest {
                let group = row * each + first
                scales[group] = 0.03125
                for index in group * 32..<group * 32 + 32 { codes[index] = lowest(codes[index]) }
                codes[group * 32] = 0
            }
        }
        let integers = isNested ? rows.count * tensor.columns / 16 : 0
        return SourceBlocks(
            codes: codes, scales: scales, minimums: minimums,
            integers: (0..<integers).map {
                UInt8(truncatingIfNeeded: mixed(rows.lowerBound * tensor.columns / 16 + $0))
            })
    }
}
