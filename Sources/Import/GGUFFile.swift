/// A value of GGUF's metadata.
enum GGUFValue {
    case unsigned(UInt64)
    case signed(Int64)
    case float(Double)
    case bool(Bool)
    case string([UInt8])
    case integers([Int64])
    case floats([Double])
    case strings([[UInt8]])
}

/// Header and directory of a GGUF file, versions 2 and 3, little-endian. Every count is held against
/// what is left of the file before anything is allocated for it.
struct GGUFFile {
    struct Tensor {
        /// The file's own name.
        var name: String
        /// Innermost first, as stored.
        var shape: [Int]
        var type: SourceType
        /// From the start of the file.
        var offset: Int
        var byteCount: Int
    }

    let file: SourceFile
    private(set) var metadata: [String: GGUFValue] = [:]
    private(set) var tensors: [Tensor] = []

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
        let version = try cursor.integer(UInt32.self)
        guard version == 2 || version == 3 else {
            throw .unsupported(
                path: path, what: "GGUF version \(version)",
                advice: "convert the model to version 3")
        }
        let tensorCount = try cursor.count(limit: Self.tensorLimit)
        let metadataCount = try cursor.count(limit: Self.metadataLimit)
        for _ in 0..<metadataCount {
            let name = try Self.name(&cursor)
            let value = try Self.value(&cursor)
            guard metadata.updateValue(value, forKey: name) == nil else {
                throw cursor.malformed("metadata '\(name)' appears twice")
            }
        }
        try readDirectory(&cursor, count: tensorCount)
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
        guard let value = integer("general.alignment") else { return 32 }
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
                path: cursor.file.path, what: "tensor '\(name)' of GGML type \(code)",
                advice: "use a file in F32, F16, BF16, Q4_0-Q8_0 or Q2_K-Q6_K")
        }
        guard shape[0] % type.blockElements == 0 else {
            throw cursor.malformed(
                "rows of \(shape[0]) in tensor '\(name)', not whole blocks of \(type.rawValue)")
        }
        let offset = try cursor.count(limit: cursor.file.byteCount)
        return Tensor(
            name: name, shape: shape, type: type, offset: offset,
            byteCount: elements / type.blockElements * type.blockBytes)
    }

    // MARK: Metadata

    private static func name(_ cursor: inout FileCursor) throws(ImportError) -> String {
        let count = try cursor.count(limit: min(nameLimit, cursor.remaining))
        let bytes = try cursor.bytes(count)
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func value(_ cursor: inout FileCursor) throws(ImportError) -> GGUFValue {
        let type = try cursor.integer(UInt32.self)
        guard type == 9 else { return try scalar(type, &cursor) }
        let element = try cursor.integer(UInt32.self)
        guard let size = elementBytes(element) else {
            throw cursor.malformed("an array of type \(element)")
        }
        let count = try cursor.count(limit: min(cursor.remaining / size, elementLimit))
        switch element {
        case 8:
            var strings: [[UInt8]] = []
            strings.reserveCapacity(count)
            for _ in 0..<count {
                let length = try cursor.count(limit: min(cursor.remaining, stringLimit))
                strings.append(Array(try cursor.bytes(length)))
            }
            return .strings(strings)
        case 6, 12:
            var values: [Double] = []
            values.reserveCapacity(count)
            for _ in 0..<count {
                guard case .float(let value) = try scalar(element, &cursor) else { continue }
                values.append(value)
            }
            return .floats(values)
        default:
            var values: [Int64] = []
            values.reserveCapacity(count)
            for _ in 0..<count {
                switch try scalar(element, &cursor) {
                case .unsigned(let value): values.append(Int64(truncatingIfNeeded: value))
                case .signed(let value): values.append(value)
                case .bool(let value): values.append(value ? 1 : 0)
                default: throw cursor.malformed("an array of type \(element)")
                }
            }
            return .integers(values)
        }
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
    ) throws(ImportError) -> GGUFValue {
        switch type {
        case 0: return .unsigned(UInt64(try cursor.integer(UInt8.self)))
        case 1: return .signed(Int64(try cursor.integer(Int8.self)))
        case 2: return .unsigned(UInt64(try cursor.integer(UInt16.self)))
        case 3: return .signed(Int64(try cursor.integer(Int16.self)))
        case 4: return .unsigned(UInt64(try cursor.integer(UInt32.self)))
        case 5: return .signed(Int64(try cursor.integer(Int32.self)))
        case 6: return .float(Double(Float(bitPattern: try cursor.integer(UInt32.self))))
        case 7: return .bool(try cursor.integer(UInt8.self) != 0)
        case 8:
            let count = try cursor.count(limit: min(cursor.remaining, stringLimit))
            return .string(Array(try cursor.bytes(count)))
        case 10: return .unsigned(try cursor.integer(UInt64.self))
        case 11: return .signed(try cursor.integer(Int64.self))
        case 12: return .float(Double(bitPattern: try cursor.integer(UInt64.self)))
        default: throw cursor.malformed("a metadata value of type \(type)")
        }
    }

    // MARK: Lookup

    func integer(_ key: String) -> Int? {
        switch metadata[key] {
        case .unsigned(let value): Int(exactly: value)
        case .signed(let value): Int(exactly: value)
        default: nil
        }
    }

    func double(_ key: String) -> Double? {
        switch metadata[key] {
        case .float(let value): value
        case .unsigned(let value): Double(value)
        case .signed(let value): Double(value)
        default: nil
        }
    }

    func string(_ key: String) -> String? {
        guard case .string(let bytes) = metadata[key] else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    func bool(_ key: String) -> Bool? {
        guard case .bool(let value) = metadata[key] else { return nil }
        return value
    }
}
