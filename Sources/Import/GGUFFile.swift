internal import TesseraReporting

/// Header and directory of a GGUF file, versions 2 and 3, little-endian. Every count is held against
/// what is left of the file before anything is allocated for it.
struct GGUFFile {
    struct Tensor {
        /// The file's own name.
        var name: String
        /// Innermost first, as stored.
        var shape: [Int]
        var type: SourceType
        let file: SourceFile
        /// From the start of the file.
        var offset: Int
        var byteCount: Int
    }

    let file: SourceFile
    let metadata: Settings
    private(set) var tensors: [Tensor] = []

    private static let arrayType: UInt32 = 9
    private static let tensorLimit = 65_535
    private static let metadataLimit = 65_535
    private static let nameLimit = 65_535
    /// Elements of an array in the metadata; vocabularies have a few hundred thousand.
    private static let elementLimit = 1 << 24
    /// Bytes of a string in the metadata; embedded tokenizer.json files have tens of millions.
    private static let stringLimit = 1 << 28

    init(path: String) throws(ImportError) {
        file = try SourceFile(path: path)
        var cursor = FileCursor(file)
        let magic = try cursor.integer(UInt32.self)
        guard magic == 0x4655_4747 else {
            throw .unsupported(
                path: path, what: "a file that does not begin with 'GGUF'",
                advice: "name a .gguf file or a Hugging Face folder")
        }
        try Self.checkVersion(try cursor.integer(UInt32.self), path)
        let tensorCount = try cursor.count(limit: Self.tensorLimit)
        let metadataCount = try cursor.count(limit: Self.metadataLimit)
        var values: [String: JSONValue] = [:]
        for _ in 0..<metadataCount {
            let name = try Self.name(&cursor)
            let value = try Self.value(&cursor, named: name)
            guard values.updateValue(value, forKey: name) == nil else {
                throw cursor.malformed("metadata '\(name)' appears twice")
            }
        }
        metadata = Settings(values, path: path)
        try readDirectory(&cursor, count: tensorCount)
    }

    private static func checkVersion(_ version: UInt32, _ path: String) throws(ImportError) {
        guard version != 2, version != 3 else { return }
        let isSwapped = version.byteSwapped == 2 || version.byteSwapped == 3
        throw .unsupported(
            path: path, what: isSwapped ? "a big-endian GGUF file" : "GGUF version \(version)",
            advice: isSwapped ? "choose a little-endian one" : "convert the model to version 3")
    }

    /// All parts of one model, opened as one file. The metadata is that of the first.
    ///
    /// - Parameter paths: Paths of all parts, in order.
    init(parts paths: [String]) throws(ImportError) {
        self = try Self.part(0, of: paths)
        var names = Set(tensors.map(\.name))
        for index in paths.indices.dropFirst() {
            for tensor in try Self.part(index, of: paths).tensors {
                guard names.insert(tensor.name).inserted else {
                    throw .malformed(
                        path: paths[index], offset: nil,
                        reason: "tensor '\(tensor.name)' is in another part too")
                }
                tensors.append(tensor)
            }
        }
    }

    private static func part(_ index: Int, of paths: [String]) throws(ImportError) -> GGUFFile {
        let path = paths[index]
        guard fileKind(path) == .file else {
            throw .notFound(
                path: path,
                wanted: "part \(index + 1) of \(paths.count) of the model, next to the others")
        }
        let file = try GGUFFile(path: path)
        let count = try file.metadata.int("split.count") ?? 1
        let number = try file.metadata.int("split.no") ?? 0
        guard max(1, count) == paths.count, number == index else {
            throw .unsupported(
                path: path, what: "part \(number + 1) of \(count) under a name of another part",
                advice: "give it back a name such as model-00001-of-00003.gguf")
        }
        return file
    }

    // MARK: Directory

    private mutating func readDirectory(
        _ cursor: inout FileCursor, count: Int
    ) throws(ImportError) {
        var names: Set<String> = []
        var expected = 0
        var relative: [Tensor] = []
        let alignment = try alignment(cursor)
        for _ in 0..<count {
            let name = try Self.name(&cursor)
            guard names.insert(name).inserted else {
                throw cursor.malformed("tensor '\(name)' appears twice")
            }
            let tensor = try Self.tensor(named: name, &cursor)
            guard tensor.offset == expected else {
                throw cursor.malformed(
                    "tensor '\(name)' at \(tensor.offset), expected \(expected)")
            }
            let (sum, overflow) = expected.addingReportingOverflow(tensor.byteCount)
            guard !overflow, sum <= file.byteCount else {
                throw .truncated(
                    path: file.path, offset: file.byteCount, wanted: tensor.byteCount)
            }
            expected = (sum + alignment - 1) / alignment * alignment
            relative.append(tensor)
        }
        let base = (cursor.offset + alignment - 1) / alignment * alignment
        for var tensor in relative {
            tensor.offset += base
            guard tensor.offset <= file.byteCount,
                tensor.byteCount <= file.byteCount - tensor.offset
            else {
                throw .truncated(
                    path: file.path, offset: tensor.offset, wanted: tensor.byteCount)
            }
            tensors.append(tensor)
        }
    }

    private func alignment(_ cursor: FileCursor) throws(ImportError) -> Int {
        guard let value = try metadata.int("general.alignment") else { return 32 }
        guard value >= 8, value <= 1 << 16, value & (value - 1) == 0 else {
            throw cursor.malformed("an alignment of \(value)")
        }
        return value
    }

    private static func tensor(
        named name: String, _ cursor: inout FileCursor
    ) throws(ImportError) -> Tensor {
        let rank = try cursor.integer(UInt32.self)
        guard (1...4).contains(rank) else { throw cursor.malformed("\(rank) dimensions") }
        var shape: [Int] = []
        var elements = 1
        for _ in 0..<rank {
            let size = try cursor.count(limit: 1 << 40)
            let (product, overflow) = elements.multipliedReportingOverflow(by: size)
            guard size > 0, !overflow, product <= 1 << 44 else {
                throw cursor.malformed("tensor '\(name)' of impossible size")
            }
            elements = product
            shape.append(size)
        }
        let code = try cursor.integer(UInt32.self)
        guard let type = SourceType(ggml: code) else {
            throw .unsupported(
                path: cursor.file.path, what: "tensor '\(name)' of GGML type \(ggmlTypeName(code))",
                advice:
                    "use a file in F32, F16, BF16, Q4_0-Q8_0, Q2_K-Q6_K, IQ1-IQ4, MXFP4 or TQ1_0-TQ2_0"
            )
        }
        guard shape[0] % type.blockElements == 0 else {
            throw cursor.malformed(
                "rows of \(shape[0]) in tensor '\(name)', not whole blocks of \(type.rawValue)")
        }
        let offset = try cursor.count(limit: cursor.file.byteCount)
        return Tensor(
            name: name, shape: shape, type: type, file: cursor.file, offset: offset,
            byteCount: elements / type.blockElements * type.blockBytes)
    }

    // MARK: Metadata

    private static func name(_ cursor: inout FileCursor) throws(ImportError) -> String {
        let count = try cursor.count(limit: min(nameLimit, cursor.remaining))
        let bytes = try cursor.bytes(count)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func value(
        _ cursor: inout FileCursor, named name: String
    ) throws(ImportError) -> JSONValue {
        let type = try cursor.integer(UInt32.self)
        guard type == arrayType else { return try scalar(type, &cursor) }
        let element = try cursor.integer(UInt32.self)
        guard element != arrayType else {
            throw .unsupported(
                path: cursor.file.path, what: "metadata '\(name)' of lists in a list",
                advice: "leave it out when you convert the model")
        }
        guard let size = elementBytes(element) else {
            throw cursor.malformed("an array of type \(element)")
        }
        let count = try cursor.count(limit: min(cursor.remaining / size, elementLimit))
        var values: [JSONValue] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try scalar(element, &cursor)) }
        return .array(values)
    }

    private static func elementBytes(_ type: UInt32) -> Int? {
        switch type {
        case 0, 1, 7: 1
        case 2, 3: 2
        case 4, 5, 6: 4
        case 8, 10, 11, 12: 8
        default: nil
        }
    }

    private static func scalar(
        _ type: UInt32, _ cursor: inout FileCursor
    ) throws(ImportError) -> JSONValue {
        switch type {
        case 0: return .number(Double(try cursor.integer(UInt8.self)))
        case 1: return .number(Double(try cursor.integer(Int8.self)))
        case 2: return .number(Double(try cursor.integer(UInt16.self)))
        case 3: return .number(Double(try cursor.integer(Int16.self)))
        case 4: return .number(Double(try cursor.integer(UInt32.self)))
        case 5: return .number(Double(try cursor.integer(Int32.self)))
        case 6: return .number(Double(Float(bitPattern: try cursor.integer(UInt32.self))))
        case 7: return .bool(try cursor.integer(UInt8.self) != 0)
        case 8:
            let count = try cursor.count(limit: min(cursor.remaining, stringLimit))
            return .string(Array(try cursor.bytes(count)))
        case 10: return .number(Double(try cursor.integer(UInt64.self)))
        case 11: return .number(Double(try cursor.integer(Int64.self)))
        case 12: return .number(Double(bitPattern: try cursor.integer(UInt64.self)))
        default: throw cursor.malformed("a metadata value of type \(type)")
        }
    }
}
