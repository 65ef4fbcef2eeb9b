internal import Glibc
internal import TesseraWeightFile

/// Models that are not .tsr files, and how to convert them.
enum ForeignModel {
    /// Advice where an error says that a path is not a weight file.
    static func advice(for error: any Error) -> String? {
        switch error as? WeightFileError {
        case .invalid(let path, let violation) where violation.rule == .magic:
            isGGUF(path) ? conversion(of: path, "a GGUF file") : nil
        case .notAFile(let path):
            isFolderOfModel(path) ? conversion(of: path, "a Hugging Face folder") : nil
        case let error? where error.isMissingFile && isRepository(error.path):
            download(error.path)
        default: nil
        }
    }

    /// Advice for a name on Hugging Face; nil if the path is not such a name, or exists.
    static func download(ifRepository path: String) -> String? {
        unsafe isRepository(path) && access(path, F_OK) != 0 ? download(path) : nil
    }

    private static func download(_ name: String) -> String {
        let folder = name.split(separator: "/").last ?? ""
        return
            "\(name): no such file or folder; if this is a model on Hugging Face, download it first: "
            + "hf download \(name) --local-dir \(folder)"
    }

    private static func conversion(of path: String, _ kind: String) -> String {
        var name = path.split(separator: "/").last.map(String.init) ?? "model"
        if name.hasSuffix(".gguf") { name.removeLast(5) }
        return "\(path): \(kind), not a .tsr file; convert it first: "
            + "tessera quantize \(path) -o \(name == "." ? "model" : name).tsr"
    }

    private static func isGGUF(_ path: String) -> Bool {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var start = [UInt8](repeating: 0, count: 4)
        let count = unsafe start.withUnsafeMutableBytes {
            unsafe read(descriptor, $0.baseAddress, $0.count)
        }
        return count == 4 && start.elementsEqual("GGUF".utf8)
    }

    private static func isFolderOfModel(_ path: String) -> Bool {
        unsafe access("\(path)/config.json", F_OK) == 0
    }

    /// Whether this has the form of `owner/model`.
    private static func isRepository(_ path: String) -> Bool {
        let parts = path.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 2
            && parts.allSatisfy { part in
                part.first?.isLetter ?? false
                    && part.allSatisfy {
                        $0.isASCII && ($0.isLetter || $0.isNumber || "-_.".contains($0))
                    }
            } && !["tsr", "gguf"].contains { path.hasSuffix(".\($0)") }
    }
}
