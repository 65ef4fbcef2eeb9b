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

/// Finds what no writer may store: infinities, NaNs and the int8 code 0. Rule 36.
struct ValueCheck {
    private let encoding: TensorEncoding
    private let panelBytes: Int
    /// Bytes of one plane with its padding.
    private let planeBytes: Int
    /// Bytes of the numbers in a plane.
    private let numberBytes: Int

    /// - Precondition: `tensor` was validated.
    init(_ tensor: TensorRecord) {
        encoding = tensor.encoding
        panelBytes = TensorRecord.panelBytes(encoding: encoding, columns: tensor.columns)
        planeBytes = encoding.planeBytes(columns: tensor.columns) ?? 0
        numberBytes = (tensor.columns + 31) / 32 * 32
    }

    /// The byte in `tile` (whole panels) where the first bad value stands.
    func firstBad(in tile: RawSpan) -> Int? {
        switch encoding {
        case .f32: return firstNonFinite32(tile)
        case .f16: return firstNonFinite16(tile, 0..<tile.byteCount)
        case .int8, .int4, .int4Affine:
            var start = 0
            while start < tile.byteCount {
                for plane in 0..<encoding.planeCount {
                    let place = start + plane * planeBytes
                    if let bad = firstNonFinite16(tile, place..<place + numberBytes) { return bad }
                }
                let codes = start + planeBytes * encoding.planeCount
                start += panelBytes
                if encoding == .int8, let bad = firstZero(tile, codes..<start) { return bad }
            }
            return nil
        }
    }

    private func firstNonFinite16(_ tile: RawSpan, _ range: Range<Int>) -> Int? {
        var offset = range.lowerBound
        while offset < range.upperBound {
            if tile.u16(at: offset) & 0x7C00 == 0x7C00 { return offset }
            offset += 2
        }
        return nil
    }

    private func firstNonFinite32(_ tile: RawSpan) -> Int? {
        var offset = 0
        while offset < tile.byteCount {
            if tile.u32(at: offset) & 0x7F80_0000 == 0x7F80_0000 { return offset }
            offset += 4
        }
        return nil
    }

    /// The first zero byte; eight at a time by the classic borrow test.
    private func firstZero(_ tile: RawSpan, _ range: Range<Int>) -> Int? {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let word = tile.u64(at: offset)
            if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 {
                return (offset..<offset + 8).first { tile.u8(at: $0) == 0 }
            }
            offset += 8
        }
        return nil
    }
}
