internal import TesseraCKernels
internal import TesseraCZstd

/// Codes the tiles of one matrix as storage classes 1 and 2 ask, and decodes those of all. Formats/TSR.md §9.
///
/// Not safe to use from several threads at once.
@safe public final class TileCoder {
    private let panelBytes: Int
    /// Bytes of a panel's scales and minimums.
    private let planesBytes: Int
    private let storage: StorageClass
    /// Whether a byte of codes holds two.
    private let hasNibbles: Bool
    private let encoder: OpaquePointer
    private let decoder: OpaquePointer

    /// - Precondition: `encoding` is codable, and a panel of `columns` fits an Int.
    public init(encoding: TensorEncoding, storage: StorageClass, columns: Int) {
        precondition(encoding.isCodable, "tiles of \(encoding) are not coded")
        precondition(storage != .plain, "plain tiles are not coded")
        self.storage = storage
        hasNibbles = encoding != .int8
        panelBytes = TensorRecord.panelBytes(encoding: encoding, columns: columns)
        planesBytes = encoding.planesBytes(columns: columns) ?? 0
        guard let encoder = unsafe ZSTD_createCCtx(), let decoder = unsafe ZSTD_createDCtx()
        else { preconditionFailure("no memory for a zstd context") }
        unsafe self.encoder = encoder
        unsafe self.decoder = decoder
    }

    deinit {
        unsafe ZSTD_freeCCtx(encoder)
        unsafe ZSTD_freeDCtx(decoder)
    }

    /// Bytes that a tile takes at least.
    static let leastStored = 5

    /// Bytes that a tile of `plain` bytes may take at most.
    static func largestStored(_ plain: Int) -> Int { plain + plain / 256 + 1024 }

    /// The stored bytes of a tile.
    ///
    /// - Parameter plain: Whole panels.
    /// - Precondition: A class that codes what was quantized before, 1 or 2.
    public func encode(_ plain: [UInt8]) -> [UInt8] {
        precondition(storage != .trellis, "a trellis is quantized as it is coded")
        precondition(plain.count % panelBytes == 0, "\(plain.count) bytes are not whole panels")
        var planes: [UInt8] = []
        var codes: [UInt8] = []
        planes.reserveCapacity(plain.count / panelBytes * planesBytes)
        codes.reserveCapacity(plain.count)
        for start in stride(from: 0, to: plain.count, by: panelBytes) {
            planes += plain[start..<start + planesBytes]
            codes += plain[start + planesBytes..<start + panelBytes]
        }
        // Equal scales repeat; codes are noise in which looking for repetitions costs much and finds
        // nothing, but whose symbols are far from equally likely.
        let first = frame(planes, level: 3, isNoise: false)
        let size = UInt32(first.count)
        return (0..<4).map { UInt8(truncatingIfNeeded: size >> (8 * $0)) } + first
            + (storage == .zstd ? frame(codes, level: 1, isNoise: true) : symbols(codes))
    }

    /// Codes by the range coders.
    private func symbols(_ codes: [UInt8]) -> [UInt8] {
        var coded = [UInt8](repeating: 0, count: tsr_rans_bound(codes.count))
        let count = unsafe coded.withUnsafeMutableBufferPointer { out in
            unsafe codes.withUnsafeBufferPointer { source in
                // Safe: both hold the bytes that the function is given, and neither is empty.
                unsafe tsr_rans_encode(
                    source.baseAddress!, source.count, hasNibbles, out.baseAddress!)
            }
        }
        coded.removeLast(coded.count - count)
        return coded
    }

    /// `count` bytes that a decoder of `CKernels` makes of `coded`; nil if it refuses.
    ///
    /// - Parameter decode: Given the coded bytes, their number and the place for what they hold.
    private func bytes(
        of coded: RawSpan, _ count: Int,
        _ decode: (UnsafePointer<UInt8>, Int, UnsafeMutablePointer<UInt8>) -> Bool
    ) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        let isWhole = unsafe bytes.withUnsafeMutableBufferPointer { out in
            unsafe coded.withUnsafeBytes { source in
                guard let start = source.baseAddress, let target = out.baseAddress else {
                    return false
                }
                return unsafe decode(
                    start.assumingMemoryBound(to: UInt8.self), source.count, target)
            }
        }
        return isWhole ? bytes : nil
    }

    private func symbols(of coded: RawSpan, _ count: Int) -> [UInt8]? {
        // Safe: the span and the array hold the bytes that the function is given; so below.
        unsafe bytes(of: coded, count) {
            unsafe tsr_rans_decode($0, $1, tsr_rans_scalar, hasNibbles, $2, count)
        }
    }

    private func trellisPanels(of stored: RawSpan, _ panels: Int) -> [UInt8]? {
        unsafe bytes(of: stored, panels * panelBytes) {
            unsafe tsr_trellis_decode(
                $0, $1, tsr_trellis_scalar, panels, (panelBytes - planesBytes) / 512, $2)
        }
    }

    /// The plain bytes of a stored tile; nil if it does not decode to exactly `panels` panels.
    public func decode(_ stored: RawSpan, panels: Int) -> [UInt8]? {
        guard storage != .trellis else { return trellisPanels(of: stored, panels) }
        guard stored.byteCount >= 4 else { return nil }
        let size = Int(stored.u32(at: 0))
        guard size <= stored.byteCount - 4,
            let planes = content(stored.extracting(4..<4 + size), panels * planesBytes),
            let codes = storage == .zstd
                ? content(
                    stored.extracting(4 + size..<stored.byteCount),
                    panels * (panelBytes - planesBytes))
                : symbols(
                    of: stored.extracting(4 + size..<stored.byteCount),
                    panels * (panelBytes - planesBytes))
        else { return nil }
        var plain: [UInt8] = []
        plain.reserveCapacity(panels * panelBytes)
        let codesBytes = panelBytes - planesBytes
        for panel in 0..<panels {
            plain += planes[panel * planesBytes..<(panel + 1) * planesBytes]
            plain += codes[panel * codesBytes..<(panel + 1) * codesBytes]
        }
        return plain
    }

    private func frame(_ bytes: [UInt8], level: Int32, isNoise: Bool) -> [UInt8] {
        unsafe ZSTD_CCtx_reset(encoder, ZSTD_reset_session_and_parameters)
        unsafe ZSTD_CCtx_setParameter(encoder, ZSTD_c_compressionLevel, level)
        if isNoise {
            unsafe ZSTD_CCtx_setParameter(encoder, ZSTD_c_strategy, Int32(ZSTD_fast.rawValue))
            unsafe ZSTD_CCtx_setParameter(encoder, ZSTD_c_minMatch, 7)
        }
        var frame = [UInt8](repeating: 0, count: ZSTD_compressBound(bytes.count))
        let count = unsafe frame.withUnsafeMutableBytes { out in
            unsafe bytes.withUnsafeBytes { source in
                unsafe ZSTD_compress2(
                    encoder, out.baseAddress, out.count, source.baseAddress, source.count)
            }
        }
        precondition(ZSTD_isError(count) == 0, "zstd cannot code \(bytes.count) bytes")
        frame.removeLast(frame.count - count)
        return frame
    }

    /// What one frame holds; nil unless that is `count` bytes, as it states itself.
    private func content(_ frame: RawSpan, _ count: Int) -> [UInt8]? {
        unsafe frame.withUnsafeBytes { source -> [UInt8]? in
            guard
                unsafe ZSTD_getFrameContentSize(source.baseAddress, source.count)
                    == UInt64(count),
                unsafe ZSTD_findFrameCompressedSize(source.baseAddress, source.count)
                    == source.count
            else { return nil }
            var bytes = [UInt8](repeating: 0, count: count)
            let done = unsafe bytes.withUnsafeMutableBytes { out in
                unsafe ZSTD_decompressDCtx(
                    decoder, out.baseAddress, out.count, source.baseAddress, source.count)
            }
            return done == count ? bytes : nil
        }
    }
}
