import TesseraChatTemplates
import TesseraTokenization
import TesseraWeightFile

/// The reader of `.tsr` files. An input is a file's metadata; the tensors are a hole of zeros.
enum WeightFileTarget {
    private static let folder = InputFolder("weight-file")
    private static let headerBytes = 192
    /// Where the header holds the size of the file, where the tensors begin, and its two checksums.
    private static let (fileSize, dataOffset) = (16, 24)
    private static let (metadataChecksum, headerChecksum) = (120, 184)
    private static let largestFile = 1 << 22

    /// Reads the file as it is, and once more with its checksums made right, so that changes reach every
    /// check after them.
    static func run(_ bytes: [UInt8]) {
        open(bytes)
        guard bytes.count >= headerBytes else { return }
        var mended = bytes
        let begin = bytes.number(at: dataOffset)
        if let begin, begin >= headerBytes, begin <= largestFile {
            let missing = max(0, begin - mended.count)
            mended += [UInt8](repeating: 0, count: missing)
            mended.put(XXH64.hash(Array(mended[headerBytes..<begin])), at: metadataChecksum)
        }
        mended.put(XXH64.hash(Array(mended[..<headerChecksum])), at: headerChecksum)
        open(mended)
    }

    private static func open(_ bytes: [UInt8]) {
        let claimed = bytes.number(at: fileSize) ?? 0
        let path = folder.write(bytes, to: "model.tsr", size: min(claimed, largestFile))
        do throws(WeightFileError) {
            let file = try WeightFile(path: path)
            check(file)
            try file.verify()
        } catch {
            precondition(!error.description.isEmpty)
        }
    }

    /// Uses what a reader may rely on after a file was opened.
    private static func check(_ file: WeightFile) {
        let tokens = file.tokenizer.tokens
        precondition(tokens.reduce(0) { $0 + $1.count } == tokens.bytes.count)
        for tensor in file.tensors {
            for tile in [0, tensor.tileCount - 1] {
                let range = file.tileRange(tile, of: tensor)
                precondition(!range.isEmpty && range.lowerBound >= tensor.offset)
                precondition(range.upperBound <= tensor.offset + tensor.byteCount)
            }
            precondition(file.bytes(of: tensor).byteCount == tensor.byteCount)
        }
        if let tokenizer = try? Tokenizer(file.tokenizer) {
            let ids = tokenizer.encode("It's 12 <s>\n\u{1f600}", addBOS: true)
            precondition(ids.allSatisfy { tokens.indices.contains(Int($0)) })
        }
        if let text = file.chatTemplate { _ = try? ChatTemplate(parsing: text) }
    }
}
