#if canImport(Glibc)
    internal import Glibc
#elseif canImport(Musl)
    internal import Musl
#endif

/// Functions that every template has.
extension Interpreter {
    /// Jinja's, and those that transformers adds.
    static let functions = [
        "raise_exception", "namespace", "dict", "range", "strftime_now", "cycler", "joiner",
        "lipsum",
    ]

    func function(_ name: String, _ arguments: Arguments) throws(TemplateError) -> Value {
        switch name {
        case "raise_exception":
            let message = try arguments.bound(to: name, ["message"], required: 1)[0] ?? .none
            throw .refused(try Representation(work: work).printed(message).text)
        case "namespace": return try namespace(try dictionary(arguments))
        case "dict": return .dict(try dictionary(arguments))
        case "range": return try range(arguments)
        case "strftime_now":
            let format = try arguments.bound(to: name, ["format"], required: 1).text(0)
            return .string(
                MarkedText(try Self.now(format.text), isUserText: format.hasUserText))
        default: throw .failure("the function '\(name)' is not supported")
        }
    }

    private func namespace(_ members: Mapping) throws(TemplateError) -> Value {
        let space = Namespace()
        watch(space)
        for (key, value) in zip(members.keys, members.values) {
            guard let name = key.string?.text, !name.hasPrefix("_") else {
                throw .failure("'namespace' with \(key.kind) as a name")
            }
            space.members[name] = value
        }
        return .namespace(space)
    }

    /// The result of Python's `dict` for a dictionary or pairs, and for names.
    private func dictionary(_ arguments: Arguments) throws(TemplateError) -> Mapping {
        guard arguments.positional.count <= 1 else { throw .failure("'dict' takes one argument") }
        var result = Mapping()
        switch arguments.positional.first {
        case nil: break
        case .dict(let members): result = members
        case let pairs?:
            for pair in try pairs.elements() {
                let parts = try pair.elements()
                guard parts.count == 2 else { throw .failure("'dict' of something but pairs") }
                try work.charge(elements: 2)
                try result.set(parts[0], to: parts[1])
            }
        }
        for (name, value) in arguments.named { try result.set(.text(name), to: value) }
        return result
    }

    private func range(_ arguments: Arguments) throws(TemplateError) -> Value {
        let bound = try arguments.unnamed(for: "range", ["start", "stop", "step"], required: 1)
        let isSingle = bound[1] == nil
        let begin = isSingle ? 0 : try bound.int(0, default: 0)
        let end = try bound.int(isSingle ? 0 : 1, default: 0)
        let step = try bound.int(2, default: 1)
        guard step != 0 else { throw .failure("'range' with step 0") }
        let length = try Arithmetic.checked(end.subtractingReportingOverflow(begin))
        let count = length / step + (length % step != 0 ? 1 : 0)
        let isEmpty = length == 0 || (length < 0) != (step < 0)
        guard isEmpty || count <= 100_000 else { throw .limit("a range of \(count) numbers") }
        if !isEmpty { try work.charge(elements: count) }
        let name = "range(\(begin), \(end)" + (step == 1 ? ")" : ", \(step))")
        let values = isEmpty ? [] : (0..<count).map { Value.int(begin + $0 * step) }
        return .view(name, try Items(values))
    }

    /// Local time by strftime's rules.
    private static func now(_ format: String) throws(TemplateError) -> String {
        var now = time(nil)
        var parts = unsafe tm()
        unsafe localtime_r(&now, &parts)
        var bytes = [CChar](repeating: 0, count: 1024)
        let count = unsafe strftime(&bytes, bytes.count, format, &parts)
        guard count > 0 || format.isEmpty else {
            throw .failure("'strftime_now' with a format this long")
        }
        return String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}
