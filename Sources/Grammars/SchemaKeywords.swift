internal import TesseraReporting

/// Types of JSON Schema.
enum JSONType: String, CaseIterable {
    case null, boolean, object, array, string, integer, number
}

/// The keywords that this program knows.
enum Keywords {
    /// Keywords that do not restrict values, or that readers do not check.
    private static let annotations: Set<String> = [
        "$anchor", "$comment", "$defs", "$id", "$schema", "contentEncoding", "contentMediaType",
        "contentSchema", "default", "definitions", "deprecated", "description", "discriminator",
        "example", "examples", "readOnly", "title", "writeOnly",
    ]
    /// Keywords by the type that they restrict.
    static let byType: [(type: JSONType, keywords: Set<String>)] = [
        (
            .object,
            ["properties", "required", "additionalProperties", "minProperties", "maxProperties"]
        ),
        (
            .array,
            ["items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"]
        ),
        (.string, ["minLength", "maxLength", "pattern", "format"]),
        (.number, ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ]
    private static let general: Set<String> = [
        "$ref", "allOf", "anyOf", "oneOf", "const", "enum", "type",
    ]
    private static let refused: Set<String> = [
        "$dynamicRef", "$recursiveRef", "contains", "dependencies", "dependentRequired",
        "dependentSchemas", "else", "if", "maxContains", "minContains", "not", "patternProperties",
        "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
    ]

    /// Whether a schema restricts values. Names that JSON Schema does not know restrict nothing.
    static func asserts(_ schema: JSONValue) -> Bool {
        (schema.members ?? []).contains { member in
            let name = String(decoding: member.name, as: UTF8.self)
            return general.contains(name) || byType.contains { $0.keywords.contains(name) }
        }
    }

    static func isAnnotation(_ name: String) -> Bool { annotations.contains(name) }

    static func check(_ part: SchemaPart) throws(GrammarError) {
        for member in part.value.members ?? [] {
            let name = String(decoding: member.name, as: UTF8.self)
            guard !refused.contains(name) else {
                throw part.failure("has '\(name)', which is not supported")
            }
        }
    }
}

extension SchemaPart {
    /// The types that `type` or other keywords name; nil for any.
    func types() throws(GrammarError) -> [JSONType]? {
        guard let named = member("type") else {
            let spoken = Keywords.byType.filter { entry in
                entry.keywords.contains { value[$0] != nil }
            }
            return spoken.isEmpty ? nil : spoken.map(\.type)
        }
        return try named.namedTypes()
    }

    /// The types that a value of `type` names.
    func namedTypes() throws(GrammarError) -> [JSONType] {
        var types: [JSONType] = []
        for name in value.array ?? [value] {
            guard let type = name.string.flatMap(JSONType.init(rawValue:)) else {
                throw failure("names no type of JSON")
            }
            if !types.contains(type) { types.append(type) }
        }
        // Whole numbers are numbers.
        return types.contains(.number) ? types.filter { $0 != .integer } : types
    }

    /// The values that `const` and `enum` leave; nil if there is neither.
    func listedValues() throws(GrammarError) -> [JSONValue]? {
        var listed: [JSONValue]?
        if let one = value["const"] { listed = [one] }
        if let several = member("enum") {
            guard let values = several.value.array else { throw several.failure("is no list") }
            let known = listed.map { Set($0.map(\.canonical)) }
            listed = values.filter { known?.contains($0.canonical) ?? true }
        }
        guard let listed else { return nil }
        for entry in Keywords.byType {
            for keyword in entry.keywords where value[keyword] != nil {
                throw failure("has '\(keyword)' next to 'const' or 'enum', which is not supported")
            }
        }
        guard let types = value["type"] == nil ? nil : try types() else { return listed }
        return listed.filter { value in types.contains { value.isOf($0) } }
    }
}

extension JSONValue {
    func isOf(_ type: JSONType) -> Bool {
        switch (self, type) {
        case (.null, .null), (.bool, .boolean), (.object, .object), (.array, .array),
            (.string, .string), (.number, .number):
            true
        case (.number(let number), .integer): number == number.rounded()
        default: false
        }
    }

    var type: JSONType {
        switch self {
        case .null: .null
        case .bool: .boolean
        case .number: .number
        case .string: .string
        case .array: .array
        case .object: .object
        }
    }
}
