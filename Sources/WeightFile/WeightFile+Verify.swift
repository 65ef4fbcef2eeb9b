extension WeightFile {
    /// Reads every byte of every tensor: checksums (rule 34), zeros between tensors (35), finite
    /// numbers (36).
    ///
    /// - Parameter progress: Called after each tile with the bytes checked and the bytes in all.
    public func verify(progress: (Int, Int) -> Void = { _, _ in }) throws(WeightFileError) {
        let total = fileBytes - header.dataOffset
        let largest = tensors.map { $0.tileRange(0).count }.max() ?? 0
        var buffer = [UInt8](repeating: 0, count: max(largest, Limits.tensorAlignment))
        var end = header.dataOffset
        for tensor in tensors {
            try verifyPadding(end..<tensor.offset, &buffer)
            for index in 0..<tensor.tileCount {
                let range = tensor.tileRange(index)
                try file.read(range, into: &buffer)
                let bytes = buffer.rawSpan.extracting(0..<range.count)
                do throws(Violation) {
                    try checkTile(tensor, index, bytes)
                } catch {
                    throw .invalid(path: path, error)
                }
                progress(range.upperBound - header.dataOffset, total)
            }
            end = tensor.offset + tensor.byteCount
        }
    }

    private func verifyPadding(
        _ range: Range<Int>, _ buffer: inout [UInt8]
    ) throws(WeightFileError) {
        try file.read(range, into: &buffer)
        if let index = buffer.rawSpan.firstNonZero(in: 0..<range.count) {
            throw .invalid(
                path: path,
                Violation(
                    .dataPadding, at: range.lowerBound + index, found: buffer[index], expected: 0))
        }
    }

    private func checkTile(
        _ tensor: TensorRecord, _ index: Int, _ bytes: RawSpan
    ) throws(Violation) {
        let entry =
            header[.tileTable].lowerBound
            + (tensor.firstTile + index) * TensorDirectory.tileBytes
        let file = self.file
        let stored = file.bytes.u64(at: entry + 8)
        let sum = XXH64.hash(bytes)
        let start = tensor.tileRange(index).lowerBound
        guard sum == stored else {
            throw Violation(
                .tileChecksum, at: start, tensor: tensor.name, found: hex(sum),
                expected: hex(stored))
        }
        if let place = ValueCheck(tensor).firstBad(in: bytes) {
            throw Violation(
                .values, at: start + place, tensor: tensor.name, found: "a value that is none",
                expected: "finite numbers, int8 codes from 1")
        }
    }
}
