import TesseraWeightFile

/// The bytes of a `.tsr` file, to be damaged on purpose.
struct FileBytes {
    var bytes: [UInt8]

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Offsets of the sections, as the header says.
    var config: Int { Int(u64(32)) }
    var tokenizer: Int { Int(u64(48)) }
    var template: Int { Int(u64(64)) }
    var directory: Int { Int(u64(80)) }
    var tileTable: Int { Int(u64(96)) }
    var data: Int { Int(u64(24)) }
    var tensorCount: Int { Int(u32(112)) }

    /// Offset of the directory record of tensor `index`.
    func record(_ index: Int) -> Int { directory + 64 * index }

    /// First byte of the data of tensor `index`.
    func tensor(_ index: Int) -> Int { Int(u64(record(index) + 48)) }

    /// Offset of the name of tensor `index`.
    func name(_ index: Int) -> Int { directory + 64 * tensorCount + Int(u32(record(index))) }

    func u32(_ offset: Int) -> UInt32 {
        (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * UInt32($1)) }
    }

    func u64(_ offset: Int) -> UInt64 {
        UInt64(u32(offset)) | UInt64(u32(offset + 4)) << 32
    }

    mutating func set(_ offset: Int, u32 value: UInt32) {
        for index in 0..<4 {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }

    mutating func set(_ offset: Int, u64 value: UInt64) {
        for index in 0..<8 {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
        }
    }

    mutating func set(_ offset: Int, f32 value: Float) {
        set(offset, u32: value.bitPattern)
    }

    mutating func set(_ offset: Int, bytes new: [UInt8]) {
        bytes.replaceSubrange(offset..<offset + new.count, with: new)
    }

    /// Makes both metadata checksums right again, where the header still allows it.
    mutating func seal() {
        guard bytes.count >= 192 else { return }
        let end = u64(24)
        if end >= 192 && end <= UInt64(bytes.count) {
            set(120, u64: XXH64.hash(Array(bytes[192..<Int(end)])))
        }
        set(184, u64: XXH64.hash(Array(bytes[0..<184])))
    }

    /// Makes the checksum of the only tile of tensor `index` right again, and seals.
    mutating func sealTensor(_ index: Int) {
        let (start, size) = (tensor(index), Int(u64(record(index) + 56)))
        let tile = Int(u64(record(index) + 40))
        set(tileTable + 24 * tile + 8, u64: XXH64.hash(Array(bytes[start..<start + size])))
        seal()
    }
}
