extension WeightFile {
    /// Holds evenly spread tiles against their checksums, read by system calls; all of them where they
    /// are few.
    ///
    /// - Parameter byteCount: About how many bytes to read.
    /// - Returns: How many tiles were read, of how many.
    public func verifySample(
        byteCount: Int
    ) throws(WeightFileError) -> (checked: Int, of: Int) {
        let all = tensors.reduce(0) { $0 + $1.tileCount }
        let step = max(1, (fileBytes - metadataBytes + byteCount - 1) / max(1, byteCount))
        var buffer: [UInt8] = []
        var (number, checked) = (0, 0)
        for tensor in tensors {
            for index in 0..<tensor.tileCount {
                defer { number += 1 }
                guard number % step == 0 else { continue }
                try readTile(index, of: tensor, into: &buffer)
                checked += 1
            }
        }
        return (checked, all)
    }

    /// Reads a tile into the start of `buffer`, which grows where it must, and checks its checksum.
    func readTile(
        _ index: Int, of tensor: TensorRecord, into buffer: inout [UInt8]
    ) throws(WeightFileError) {
        let range = tileRange(index, of: tensor)
        if buffer.count < range.count {
            buffer = Array(repeating: 0, count: range.count)
        }
        try file.read(range, into: &buffer)
        let sum = XXH64.hash(buffer.rawSpan.extracting(0..<range.count))
        let file = self.file
        let stored = file.bytes.u64(at: tileEntry(index, of: tensor) + 8)
        guard sum == stored else {
            throw .invalid(
                path: path,
                Violation(
                    .tileChecksum, at: range.lowerBound, tensor: tensor.name, found: hex(sum),
                    expected: hex(stored)))
        }
    }
}
