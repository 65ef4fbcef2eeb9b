/// GPT-2's table between bytes and printable characters: printable bytes stand for themselves, the
/// other 68 for U+0100 and on.
enum ByteLevel {
    /// Byte of each scalar below 0x144, or nil.
    private static let byteOfScalar: [UInt8?] = {
        var table = [UInt8?](repeating: nil, count: 0x144)
        var next = 0x100
        for byte in 0..<256 {
            if (33...126).contains(byte) || (161...172).contains(byte)
                || (174...255).contains(byte)
            {
                table[byte] = UInt8(byte)
            } else {
                table[next] = UInt8(byte)
                next += 1
            }
        }
        return table
    }()

    /// The bytes that a token's spelling stands for; nil if a character is not of the table.
    static func bytes(of spelling: [UInt8]) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(spelling.count)
        for scalar in String(decoding: spelling, as: UTF8.self).unicodeScalars {
            guard scalar.value < 0x144, let byte = byteOfScalar[Int(scalar.value)] else {
                return nil
            }
            bytes.append(byte)
        }
        return bytes
    }
}

/// Merges of a vocabulary, from pairs of spellings.
struct MergeBuilder {
    private let ids: [[UInt8]: UInt32]

    /// - Parameter spellings: The spelling of every token in the byte-level alphabet; the index is the id.
    init(spellings: [[UInt8]]) {
        var ids: [[UInt8]: UInt32] = [:]
        ids.reserveCapacity(spellings.count)
        for (id, spelling) in spellings.enumerated() where ids[spelling] == nil {
            ids[spelling] = UInt32(id)
        }
        self.ids = ids
    }

    /// - Parameter ids: By spelling.
    init(ids: [[UInt8]: UInt32]) { self.ids = ids }

    /// The merge of two spellings; nil if one of the three tokens does not exist.
    func merge(
        _ left: some Collection<UInt8>, _ right: some Collection<UInt8>
    ) -> (left: UInt32, right: UInt32, result: UInt32)? {
        guard let a = ids[Array(left)], let b = ids[Array(right)],
            let both = ids[Array(left) + Array(right)]
        else { return nil }
        return (a, b, both)
    }
}
