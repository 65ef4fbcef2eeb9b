internal import TesseraReporting

extension SourceFile {
    /// Parses the file at `path`; nil if there is none.
    static func json(_ path: String, limit: Int = 1 << 28) throws(ImportError) -> JSONValue? {
        guard fileKind(path) == .file else { return nil }
        let bytes = try SourceFile(path: path).readAll(limit: limit)
        do throws(JSONParser.Failure) {
            return try JSONParser.parse(bytes)
        } catch {
            throw .malformed(path: path, offset: error.offset, reason: error.reason)
        }
    }
}
