internal import TesseraReporting
internal import TesseraWeightFile

/// One object of a settings file, read member by member.
///
/// Every question names the type that it expects. A member of another type is refused with its name
/// and file; it never counts as missing. A member that is null counts as missing, as in transformers.
/// `finish` refuses members that nobody asked for, in objects where each member matters.
final class Settings {
    let path: String
    private let prefix: String
    private var members: [String: JSONValue] = [:]
    private var asked: Set<String> = []

    /// - Parameter name: Name of the object inside the file, for errors; empty for the whole file.
    init(_ json: JSONValue, path: String, name: String = "") throws(ImportError) {
        self.path = path
        prefix = name.isEmpty ? "" : name + "."
        guard let members = json.members else {
            guard name.isEmpty else { throw Self.wrong(path, name, json, "an object") }
            throw .unsupported(
                path: path, what: "JSON that is not an object",
                advice: "download the file again")
        }
        // The last of several with one name counts, as in Python.
        for member in members {
            self.members[String(decoding: member.name, as: UTF8.self)] = member.value
        }
    }

    /// Settings that another format than JSON holds.
    init(_ members: [String: JSONValue], path: String) {
        self.path = path
        self.members = members
        prefix = ""
    }

    /// The settings file at `path`; nil if there is none.
    static func file(_ path: String) throws(ImportError) -> Settings? {
        guard let json = try SourceFile.json(path) else { return nil }
        return try Settings(json, path: path)
    }

    /// Whether the member is there, be it null.
    func has(_ name: String) -> Bool { members[name] != nil }

    /// The member as it is, or nil if it is missing or null.
    func value(_ name: String) -> JSONValue? {
        asked.insert(name)
        guard let value = members[name], !value.isNull else { return nil }
        return value
    }

    /// Names of all members, in alphabetical order.
    var names: [String] { members.keys.sorted() }

    // MARK: Types

    func string(_ name: String) throws(ImportError) -> String? {
        try typed(name, "a text", \.string)
    }

    /// A text as UTF-8.
    func bytes(_ name: String) throws(ImportError) -> [UInt8]? {
        try typed(name, "a text", \.bytes)
    }

    func bool(_ name: String) throws(ImportError) -> Bool? {
        try typed(name, "true or false", \.bool)
    }

    func int(_ name: String) throws(ImportError) -> Int? {
        try typed(name, "a whole number", \.int)
    }

    func double(_ name: String) throws(ImportError) -> Double? {
        try typed(name, "a number", \.double)
    }

    func array(_ name: String) throws(ImportError) -> [JSONValue]? {
        try typed(name, "a list", \.array)
    }

    func object(_ name: String) throws(ImportError) -> Settings? {
        guard let value = value(name) else { return nil }
        return try Settings(value, path: path, name: prefix + name)
    }

    /// The objects of a list; none where the list is missing.
    func objects(_ name: String) throws(ImportError) -> [Settings] {
        var objects: [Settings] = []
        for (index, value) in (try array(name) ?? []).enumerated() {
            objects.append(try Settings(value, path: path, name: "\(prefix)\(name)[\(index)]"))
        }
        return objects
    }

    /// A count of 1...2^30.
    func size(_ name: String) throws(ImportError) -> Int? {
        guard let size = try int(name) else { return nil }
        guard (1...1 << 30).contains(size) else { throw wrong(name, "1...\(1 << 30)") }
        return size
    }

    /// A finite number above 0.
    func positive(_ name: String) throws(ImportError) -> Double? {
        guard let number = try double(name) else { return nil }
        guard number > 0, number.isFinite else { throw wrong(name, "a number above 0") }
        return number
    }

    /// A factor that some families put on values; 1 where the member is missing.
    func multiplier(_ name: String) throws(ImportError) -> Double {
        guard let factor = try double(name) else { return 1 }
        guard (1e-6...1e6).contains(factor) else { throw wrong(name, "0.000001...1000000") }
        return factor
    }

    private func typed<Value>(
        _ name: String, _ expected: String, _ convert: (JSONValue) -> Value?
    ) throws(ImportError) -> Value? {
        guard let value = value(name) else { return nil }
        guard let result = convert(value) else { throw wrong(name, expected) }
        return result
    }

    // MARK: Required members

    /// The value, or an error that says that the member is missing.
    func required<Value>(_ name: String, _ value: Value?) throws(ImportError) -> Value {
        guard let value else { throw .missingSetting(path: path, name: prefix + name) }
        return value
    }

    // MARK: Refusals

    /// Marks members that change nothing here.
    func ignore(_ names: String...) { asked.formUnion(names) }

    /// Refuses members that nobody asked for, unless they are null: each could change results.
    ///
    /// - Parameter concerns: Whether a member may change results at all.
    func finish(
        _ concerns: (String, JSONValue) -> Bool = { _, _ in true }
    ) throws(ImportError) {
        for name in names where !asked.contains(name) {
            guard let value = members[name], !value.isNull, concerns(name, value) else { continue }
            throw unsupported(name)
        }
    }

    /// The error for a value that this program cannot follow.
    func unsupported(_ name: String, advice: String = "choose another model") -> ImportError {
        let shown = members[name].map { " (\($0.shown))" } ?? ""
        return .unsupported(
            path: path, what: "setting '\(prefix)\(name)'\(shown)".printable, advice: advice)
    }

    /// The error for a value of a wrong type or out of range.
    func wrong(_ name: String, _ expected: String) -> ImportError {
        Self.wrong(path, prefix + name, members[name] ?? .null, expected)
    }

    private static func wrong(
        _ path: String, _ name: String, _ value: JSONValue, _ expected: String
    ) -> ImportError {
        .impossibleSetting(
            path: path, name: name.printable, value: value.shown, expected: expected)
    }
}

extension JSONValue {
    /// The value in a few words, for errors.
    var shown: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let value): int.map { "\($0)" } ?? "\(value)"
        case .string(let bytes):
            "the text \"\(String(decoding: bytes, as: UTF8.self).printable.prefixed(60))\""
        case .array(let values): "a list of \(values.count)"
        case .object: "an object"
        }
    }
}
