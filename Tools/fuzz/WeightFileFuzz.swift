// libFuzzer target for the .tsr reader; Tools/fuzz/run builds it in one module with the reader.

/// Reads `count` bytes as the metadata of a weight file, once as they are and once with checksums
/// and file size made right, so that mutations reach every check.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzWeightFile(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
    var bytes = unsafe [UInt8](UnsafeBufferPointer(start: start, count: count))
    parse(bytes)
    guard bytes.count >= Limits.headerBytes else { return 0 }
    let padding = (Limits.tensorAlignment - bytes.count % Limits.tensorAlignment)
    bytes += [UInt8](repeating: 0, count: padding % Limits.tensorAlignment)
    let dataOffset = bytes.rawSpan.u64(at: 24)
    if dataOffset >= UInt64(Limits.headerBytes), dataOffset <= UInt64(bytes.count) {
        let metadata = Array(bytes[Limits.headerBytes..<Int(dataOffset)])
        put(XXH64.hash(metadata), at: 120, in: &bytes)
    }
    put(XXH64.hash(Array(bytes[0..<Header.checksumOffset])), at: Header.checksumOffset, in: &bytes)
    parse(bytes)
    return 0
}

private func put(_ value: UInt64, at offset: Int, in bytes: inout [UInt8]) {
    for index in 0..<8 {
        bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * UInt64(index)))
    }
}

/// Parses, believing the header's own word on the size of the file, and uses what came out.
private func parse(_ bytes: [UInt8]) {
    var fileBytes = bytes.count
    if bytes.count >= 24 {
        fileBytes = Int(exactly: bytes.rawSpan.u64(at: 16)) ?? bytes.count
    }
    do throws(Violation) {
        let metadata = try Metadata(parsing: bytes.rawSpan, fileBytes: fileBytes)
        var total = 0
        for token in metadata.tokenizer.tokens { total += token.count }
        precondition(total == metadata.tokenizer.tokens.bytes.count)
        for tensor in metadata.tensors {
            let last = tensor.tileRange(tensor.tileCount - 1)
            precondition(last.upperBound == tensor.offset + tensor.byteCount)
            precondition(last.upperBound <= fileBytes && !last.isEmpty)
            _ = ValueCheck(tensor)
        }
    } catch {
        precondition(!error.description.isEmpty)
    }
}
