extension WeightFile {
    /// Reads every byte of every tensor: checksums (rule 34), zeros between tensors (35), finite
    /// numbers (36), coded tiles that decode (37).
    ///
    /// - Parameter progress: Called after each tile with the bytes checked and the bytes in all.
    public func verify(progress: (Int, Int) -> Void = { _, _ in }) throws(WeightFileError) {
        let total = fileBytes - header.dataOffset
        let largest =
            tensors.map { tensor in
                (0..<tensor.tileCount).reduce(0) { max($0, tileRange($1, of: tensor).count) }
            }.max() ?? 0
        var buffer = [UInt8](repeating: 0, count: max(largest, Limits.tensorAlignment))
        var end = header.dataOffset
        for tensor in tensors {
            try verifyPadding(end..<tensor.offset, &buffer)
            let coder =
                tensor.storage == .plain
                ? nil
                : TileCoder(
                    encoding: tensor.encoding, storage: tensor.storage, columns: tensor.columns)
            for index in 0..<tensor.tileCount {
                let range = tileRange(index, of: tensor)
                try readTile(index, of: tensor, into: &buffer)
                let bytes = buffer.rawSpan.extracting(0..<range.count)
                do throws(Violation) {
                    try checkTile(tensor, index, bytes, coder)
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
        _ tensor: TensorRecord, _ index: Int, _ bytes: RawSpan, _ coder: TileCoder?
    ) throws(Violation) {
        let start = tileRange(index, of: tensor).lowerBound
        guard let coder else { return try checkValues(tensor, bytes, at: start) }
        let size = tensor.plainTileBytes(index)
        let panel = TensorRecord.panelBytes(encoding: tensor.encoding, columns: tensor.columns)
        guard let plain = coder.decode(bytes, panels: size / panel) else {
            throw Violation(
                .tileCoding, at: start, tensor: tensor.name, found: "damaged bytes",
                expected: "a \(tensor.storage) tile of \(size) bytes")
        }
        try checkValues(tensor, plain.rawSpan, at: start)
    }

    /// - Parameter start: Offset of the tile in the file.
    private func checkValues(
        _ tensor: TensorRecord, _ plain: RawSpan, at start: Int
    ) throws(Violation) {
        guard let place = ValueCheck(tensor).firstBad(in: plain) else { return }
        throw Violation(
            .values, at: start + (tensor.storage == .plain ? place : 0), tensor: tensor.name,
            found: "a value that is none", expected: "finite numbers, int8 codes from 1")
    }
}
