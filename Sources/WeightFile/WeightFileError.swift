internal import Glibc
internal import TesseraMachine

/// Why a weight file could not be read or written.
public enum WeightFileError: Error, Equatable, CustomStringConvertible {
    /// Nothing can be written at `path`.
    case badPlace(path: String, reason: String)
    /// The file's content breaks a rule of Formats/TSR.md §12.
    case invalid(path: String, Violation)
    /// Another process is writing the temporary file `path`.
    case inUse(path: String)
    /// The file to write, `path`, is one that is read for it.
    case isInput(path: String)
    /// `path` is a directory, pipe or device.
    case notAFile(path: String)
    /// Another process changed the size of the file while it was open.
    case sizeChanged(path: String, from: Int, to: Int)
    /// A system call failed with `errno` = `code`.
    case system(operation: Operation, path: String, code: Int32)
    /// What was to be written breaks a rule; nothing is left on disk.
    case unwritable(path: String, Violation)
    /// `append` or `finish` was called with bytes that the announced tensors do not have.
    case wrongLength(path: String, tensor: String?, expectedBytes: Int, appendedBytes: Int)

    /// What was tried when a system call failed.
    public enum Operation: String, Sendable {
        case open, map, read, create, write, flush, rename
    }

    /// The file that the error is about.
    public var path: String {
        switch self {
        case .badPlace(let path, _), .invalid(let path, _), .inUse(let path), .isInput(let path),
            .notAFile(let path), .sizeChanged(let path, _, _),
            .system(_, let path, _), .unwritable(let path, _), .wrongLength(let path, _, _, _):
            path
        }
    }

    /// The broken rule, for errors about content.
    public var violation: Violation? {
        switch self {
        case .invalid(_, let violation), .unwritable(_, let violation): violation
        default: nil
        }
    }

    /// Whether the file is simply not there.
    public var isMissingFile: Bool {
        if case .system(.open, _, ENOENT) = self { true } else { false }
    }

    public var description: String {
        switch self {
        case .badPlace(let path, let reason):
            "\(path): \(reason)"
        case .isInput(let path):
            "\(path): is read by this command; choose another name to write to"
        case .invalid(let path, let violation):
            "\(path): \(violation). \(Self.advice(violation.rule))"
        case .inUse(let path):
            "\(path): another process is writing this file; wait for it or choose another name"
        case .notAFile(let path):
            "\(path): not a regular file; give the path of a .tsr file"
        case .sizeChanged(let path, let from, let to):
            "\(path): changed from \(from) to \(to) bytes while being opened; "
                + "wait until it is completely written"
        case .system(.map, let path, ENODEV):
            "\(path): \(Self.place(of: path)) does not map files into memory; "
                + "copy the file to a disk of this machine"
        case .system(let operation, let path, let code):
            "\(path): cannot \(operation.rawValue): \(systemMessage(code))"
        case .unwritable(let path, let violation):
            "\(path): cannot be written: \(violation)"
        case .wrongLength(let path, let tensor, let expected, let appended):
            "\(path): tensor \(tensor ?? "after the last") takes \(expected) bytes, "
                + "\(appended) were appended"
        }
    }

    /// The file system of a file, in words.
    private static func place(of path: String) -> String {
        guard let mount = Mount.holding(path) else { return "its file system" }
        return "the file system at \(mount.point) (\(mount.type))"
    }

    private static func advice(_ rule: ValidationRule) -> String {
        switch rule {
        case .magic: "Convert models with `tessera quantize`"
        case .version: "Update tessera, or convert the model again"
        case .fileSize, .fileTooShort, .fileEnd: "The copy is incomplete: copy it again"
        case .headerChecksum, .metadataChecksum, .tileChecksum:
            "The file is damaged: copy it again"
        default: "The writer of this file is at fault: convert the model again"
        }
    }
}

extension Violation: CustomStringConvertible {
    public var description: String {
        let place = tensor.map { "tensor \($0.printable), byte \(offset)" } ?? "byte \(offset)"
        return "\(place): \(rule.summary): found \(found), expected \(expected) "
            + "(rule \(rule.rawValue), \(rule))"
    }
}
