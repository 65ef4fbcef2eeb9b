internal import TesseraReporting

/// A JSON value whose objects keep the order of their members, because schemas and chat templates depend on it.
public struct OrderedJSON: Sendable {
    let value: JSONValue

    init(_ value: JSONValue) { self.value = value }

    /// - Throws: `badOption` where the bytes are no JSON in UTF-8, or nested more than 64 deep.
    public init(_ bytes: [UInt8]) throws(ModelError) {
        do throws(JSONParser.Failure) {
            value = try JSONParser.parse(bytes)
        } catch {
            throw ModelError(.badOption, "not JSON at byte \(error.offset): \(error.reason)")
        }
    }

    /// A member of an object; nil for null.
    public subscript(name: String) -> OrderedJSON? {
        value[name].flatMap { $0.isNull ? nil : OrderedJSON($0) }
    }

    public var string: String? { value.string }
    /// The elements of an array; nil for other values.
    public var elements: [OrderedJSON]? { value.array?.map { OrderedJSON($0) } }
    /// Names of an object's members.
    public var names: [String]? {
        value.members?.map { String(decoding: $0.name, as: UTF8.self) }
    }
    /// The value on one line.
    public var text: String { JSONOutput(value).text }
}
