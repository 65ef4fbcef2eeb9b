import Foundation
import Testing
import TesseraWeightFile

@testable import TesseraImport

/// Checkpoints of 8-bit floats, with the scales that stand next to them.
@Suite struct EightBitFloatTests {
    /// As torch.float8_e4m3fn has them.
    @Test func everyPatternHasItsValue() {
        let values = EightBitFloat.values
        #expect(values[0x00] == 0 && values[0x01] == 0.001953125 && values[0x08] == 0.015625)
        #expect(values[0x38] == 1 && values[0xB8] == -1 && values[0x7E] == 448)
        #expect(values[0x7F].isNaN && values[0xFF].isNaN)
        #expect(values.filter { !$0.isNaN }.reduce(0) { $0 + abs($1) } == 10815.75)
    }

    /// The stored bytes of a matrix, and what they are without scales.
    private func matrix(_ rows: Int, _ columns: Int) -> (bytes: Data, values: [Float]) {
        let bytes = (0..<rows * columns).map { index -> UInt8 in
            let magnitude = UInt8((index * 37 + 5) % 127)
            return index % 2 == 0 ? magnitude : magnitude | 128
        }
        return (Data(bytes), bytes.map { EightBitFloat.values[Int($0)] })
    }

    /// A file of floats and 8-bit floats.
    private func file(
        _ floats: [String: MiniTensor], _ small: [String: (shape: [Int], bytes: Data)]
    ) throws -> Data {
        var header: [String: Any] = [:]
        var data = Data()
        let parts =
            floats.map { ($0.key, "F32", $0.value.shape, $0.value.bytes) }
            + small.map { ($0.key, "F8_E4M3", $0.value.shape, $0.value.bytes) }
        for (name, type, shape, bytes) in parts {
            header[name] = [
                "dtype": type, "shape": shape,
                "data_offsets": [data.count, data.count + bytes.count],
            ]
            data += bytes
        }
        let text = try JSONSerialization.data(withJSONObject: header)
        var file = Data()
        file.append(little: UInt64(text.count))
        return file + text + data
    }

    private let layer = "model.layers.0."

    /// One factor for each block of 128 rows, for each row, for all of a matrix, and none.
    @Test(arguments: ["fp8", "compressed-tensors"])
    func scalesOfEveryFormAreFollowed(_ method: String) throws {
        try withMiniFolder { folder in
            try folder.set(
                "quantization_config",
                #"{"quant_method": "\#(method)", "format": "float-quantized"}"#)
            var small: [String: (shape: [Int], bytes: Data)] = [:]
            var expected: [String: [Float]] = [:]
            var scales: [String: MiniTensor] = [:]
            for (name, rows, suffix, shape) in [
                ("model.embed_tokens.weight", 258, "_scale_inv", [3, 1]),
                (layer + "self_attn.q_proj.weight", 32, "_scale", [32, 1]),
                (layer + "mlp.down_proj.weight", 32, "_scale", [1]),
                (layer + "self_attn.o_proj.weight", 32, "", []),
            ] {
                let (bytes, values) = matrix(rows, 32)
                small[name] = ([rows, 32], bytes)
                guard let count = shape.first else {
                    expected[name] = values
                    continue
                }
                let factors = (0..<count).map { Float($0 + 1) / 8 }
                scales[name + suffix] = MiniTensor(shape: shape, values: factors)
                scales[name.dropLast("weight".count) + "input_scale"] = MiniTensor(
                    shape: [1], values: [3])
                let height = count == 3 ? 128 : rows / count
                expected[name] = values.indices.map { values[$0] * factors[$0 / 32 / height] }
            }
            var floats: [String: MiniTensor] = [:]
            try folder.restore { floats = $0 }
            for name in small.keys { floats[name] = nil }
            try file(floats.merging(scales) { $1 }, small)
                .write(to: folder.appending(path: "model.safetensors"))
            let source = try openModel(at: folder.path)
            for (name, wanted) in expected {
                let tensor = try #require(source.tensors.first { $0.name == name })
                #expect(tensor.type == .f8_e4m3)
                #expect(try values(of: tensor, in: source) == wanted, "\(name)")
                var part: [Float] = []
                part = [Float](repeating: 0, count: 5 * 32)
                try source.read(tensor, rows: 20..<25, into: &part)
                #expect(part == Array(wanted[20 * 32..<25 * 32]), "\(name)")
            }
        }
    }

    @Test func whatIsNotUnderstoodIsNamed() throws {
        try withMiniFolder { folder in
            var floats: [String: MiniTensor] = [:]
            try folder.restore { floats = $0 }
            let name = layer + "mlp.down_proj.weight"
            floats[name] = nil
            let small = [name: (shape: [32, 32], bytes: matrix(32, 32).bytes)]
            func error(_ scale: [Int]) throws -> String {
                let values = MiniTensor(
                    shape: scale, values: [Float](repeating: 1, count: scale.reduce(1, *)))
                try file(floats.merging([name + "_scale": values]) { $1 }, small)
                    .write(to: folder.appending(path: "model.safetensors"))
                do {
                    _ = try openModel(at: folder.path)
                    return ""
                } catch {
                    return error.description
                }
            }
            #expect(try error([1]).isEmpty)
            #expect(try error([5, 1]).contains("down_proj.weight_scale"))
            #expect(try error([1, 1, 1]).contains("down_proj.weight_scale"))
            try folder.set(
                "quantization_config", #"{"quant_method": "fp8", "weight_block_size": [64, 64]}"#)
            #expect(try error([1]).contains("weight_block_size"))
            try folder.set("quantization_config", #"{"quant_method": "gptq"}"#)
            #expect(try error([1]).contains("gptq"))
        }
    }
}
