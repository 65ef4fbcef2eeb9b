internal import TesseraWeightFile

/// Why a model could not be imported. Paths are the user's; offsets are bytes from the start of the
/// file named.
public enum ImportError: Error, Equatable, CustomStringConvertible {
    /// Nothing to import at this path; `wanted` names what was looked for.
    case notFound(path: String, wanted: String)
    /// The system refused a read.
    case unreadable(path: String, reason: String)
    /// The file ends before something that it promises.
    case truncated(path: String, offset: Int, wanted: Int)
    /// A field's value is impossible. `offset` is nil if the reason says the place.
    case malformed(path: String, offset: Int?, reason: String)
    /// Valid, but not supported by this program.
    case unsupported(path: String, what: String, advice: String)
    case missingTensor(path: String, name: String)
    case wrongShape(path: String, name: String, shape: [Int], expected: [Int])
    /// A required setting of config.json or of GGUF's metadata is absent.
    case missingSetting(path: String, name: String)
    /// A setting's value is of another type, or out of the range that any model has.
    case impossibleSetting(path: String, name: String, value: String, expected: String)
    case unknownSynthetic(name: String, known: [String])

    /// Weights that a model of the family does not have: without them it would compute something else.
    static func noPlace(path: String, tensor: String, family: String) -> Self {
        .unsupported(
            path: path,
            what:
                "tensor '\(tensor)', which has no place in a model of type '\(family.printable)',",
            advice: "choose another model")
    }

    public var description: String {
        switch self {
        case .notFound(let path, let wanted):
            "\(path): not found; expected \(wanted)"
        case .unreadable(let path, let reason):
            "\(path): cannot be read: \(reason)"
        case .truncated(let path, let offset, let wanted):
            "\(path): ends early: \(wanted) more bytes expected at byte \(offset); "
                + "download or copy it again"
        case .malformed(let path, let offset, let reason):
            "\(path): damaged\(offset.map { " at byte \($0)" } ?? ""): \(reason); "
                + "download or copy it again"
        case .unsupported(let path, let what, let advice):
            "\(path): \(what) is not supported; \(advice)"
        case .missingTensor(let path, let name):
            "\(path): tensor '\(name)' is missing; is a shard of the model absent?"
        case .wrongShape(let path, let name, let shape, let expected):
            "\(path): tensor '\(name)' has shape \(shape), expected \(expected) from the "
                + "model's configuration"
        case .missingSetting(let path, let name):
            "\(path): setting '\(name)' is missing; is the file of another model?"
        case .impossibleSetting(let path, let name, let value, let expected):
            "\(path): setting '\(name)' is \(value), expected \(expected); "
                + "is the file damaged or of another model?"
        case .unknownSynthetic(let name, let known):
            "synthetic:\(name): unknown shape; choose one of \(known.joined(separator: ", "))"
        }
    }
}
