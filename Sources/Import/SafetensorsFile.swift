internal import TesseraReporting

/// Header of a safetensors file: every tensor inside the file, none overlapping, no hole between.
struct SafetensorsFile {
    struct Tensor {
        var shape: [Int]
        /// As in the file, such as `BF16`.
        var dtype: String
        /// nil if no weight of ours can have this type, such as integers.
        var type: SourceType?
        /// From the start of the file.
        var offset: Int
        var byteCount: Int
    }

    let file: SourceFile
    private(set) var tensors: [String: Tensor] = [:]

    private static let headerLimit = 100_000_000

    init(path: String) throws(ImportError) {
        file = try SourceFile(path: path)
        var cursor = FileCursor(file)
        let size = try cursor.integer(UInt64.self)
        guard size <= UInt64(Self.headerLimit), Int(size) <= cursor.remaining else {
            throw .malformed(
                path: path, offset: 0, reason: "a header of \(size) bytes in \(file.byteCount)")
        }
        let header = Array(try cursor.bytes(Int(size)))
        let root: JSONValue
        do throws(JSONParser.Failure) {
            root = try JSONParser.parse(header)
        } catch {
            throw .malformed(path: path, offset: 8 + error.offset, reason: error.reason)
        }
        guard let members = root.members else {
            throw .malformed(path: path, offset: 8, reason: "the header is no object")
        }
        let base = 8 + Int(size)
        for member in members where !member.name.elementsEqual("__metadata__".utf8) {
            let name = String(decoding: member.name, as: UTF8.self)
            let tensor = try Self.tensor(member.value, name: name, base: base, file)
            guard tensors.updateValue(tensor, forKey: name) == nil else {
                throw .malformed(path: path, offset: 8, reason: "'\(name)' appears twice")
            }
        }
        try checkCoverage(from: base)
    }

    private static func tensor(
        _ value: JSONValue, name: String, base: Int, _ file: SourceFile
    ) throws(ImportError) -> Tensor {
        func wrong(_ reason: String) -> ImportError {
            .malformed(path: file.path, offset: 8, reason: "tensor '\(name)': \(reason)")
        }
        guard let dtype = value["dtype"]?.string, let dimensions = value["shape"]?.array,
            let bounds = value["data_offsets"]?.array, bounds.count == 2,
            let begin = bounds[0].int, let end = bounds[1].int
        else { throw wrong("dtype, shape or data_offsets missing") }
        let types: [String: SourceType] = [
            "F32": .f32, "F16": .f16, "BF16": .bf16, "F8_E4M3": .f8_e4m3,
        ]
        var elements = 1
        var shape: [Int] = []
        for dimension in dimensions {
            guard let size = dimension.int, size >= 0 else { throw wrong("impossible shape") }
            let (product, overflow) = elements.multipliedReportingOverflow(by: size)
            guard !overflow, product <= 1 << 44 else { throw wrong("impossible shape") }
            elements = product
            shape.append(size)
        }
        guard begin >= 0, end >= begin, end <= file.byteCount - base else {
            throw .truncated(path: file.path, offset: file.byteCount, wanted: end)
        }
        // Buffers of other types may be there; only a weight of such a type is refused, later.
        let type = types[dtype]
        if let type, elements * type.blockBytes != end - begin {
            throw wrong("\(end - begin) bytes for \(elements) values of \(dtype)")
        }
        return Tensor(
            shape: shape, dtype: dtype, type: type, offset: base + begin, byteCount: end - begin)
    }

    private func checkCoverage(from base: Int) throws(ImportError) {
        var expected = base
        for tensor in tensors.values.sorted(by: {
            ($0.offset, $0.byteCount) < ($1.offset, $1.byteCount)
        }) {
            guard tensor.offset == expected else {
                throw .malformed(
                    path: file.path, offset: expected, reason: "tensors overlap or leave a hole")
            }
            expected += tensor.byteCount
        }
        guard expected == file.byteCount else {
            throw expected > file.byteCount
                ? .truncated(path: file.path, offset: file.byteCount, wanted: expected)
                : .malformed(path: file.path, offset: expected, reason: "bytes of no tensor")
        }
    }
}
