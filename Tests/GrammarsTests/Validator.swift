import TesseraReporting

/// A small validator of JSON Schema, written apart from the compiler.
struct Validator {
    let root: JSONValue

    func accepts(_ value: JSONValue, _ schema: JSONValue) -> Bool {
        if let flag = schema.bool { return flag }
        func number(_ name: String) -> Double? { schema[name]?.double }
        if let reference = schema["$ref"]?.string {
            let name = reference.split(separator: "/").last.map(String.init) ?? ""
            guard let target = reference == "#" ? root : root["$defs"]?[name],
                accepts(value, target)
            else { return false }
        }
        if let types = schema["type"] {
            guard (types.array ?? [types]).contains(where: { isOf(value, $0.string ?? "") }) else {
                return false
            }
        }
        if let one = schema["const"], spelled(one) != spelled(value) { return false }
        if let several = schema["enum"]?.array,
            !several.contains(where: { spelled($0) == spelled(value) })
        {
            return false
        }
        if let all = schema["allOf"]?.array, !all.allSatisfy({ accepts(value, $0) }) {
            return false
        }
        if let any = schema["anyOf"]?.array, !any.contains(where: { accepts(value, $0) }) {
            return false
        }
        if let one = schema["oneOf"]?.array, one.filter({ accepts(value, $0) }).count != 1 {
            return false
        }
        if let text = value.string {
            let count = Double(text.unicodeScalars.count)
            if count < number("minLength") ?? 0 || count > number("maxLength") ?? .infinity {
                return false
            }
        }
        if let amount = value.double {
            if amount < number("minimum") ?? -.infinity || amount > number("maximum") ?? .infinity {
                return false
            }
            if amount <= number("exclusiveMinimum") ?? -.infinity { return false }
            if amount >= number("exclusiveMaximum") ?? .infinity { return false }
        }
        if let elements = value.array { return accepts(elements, schema) }
        if let members = value.members { return accepts(members, schema) }
        return true
    }

    private func accepts(_ elements: [JSONValue], _ schema: JSONValue) -> Bool {
        let count = Double(elements.count)
        if count < schema["minItems"]?.double ?? 0
            || count > schema["maxItems"]?.double ?? .infinity
        {
            return false
        }
        let first = schema["prefixItems"]?.array ?? []
        for (index, element) in elements.enumerated() {
            let own = index < first.count ? first[index] : schema["items"] ?? .bool(true)
            if !accepts(element, own) { return false }
        }
        return true
    }

    private func accepts(_ members: [JSONValue.Member], _ schema: JSONValue) -> Bool {
        var last: [[UInt8]: JSONValue] = [:]
        for member in members { last[member.name] = member.value }
        let count = Double(last.count)
        if count < schema["minProperties"]?.double ?? 0
            || count > schema["maxProperties"]?.double ?? .infinity
        {
            return false
        }
        for name in schema["required"]?.array ?? [] where last[name.bytes ?? []] == nil {
            return false
        }
        for (name, value) in last {
            let own = schema["properties"]?.members?.last { $0.name == name }?.value
            if !accepts(value, own ?? schema["additionalProperties"] ?? .bool(true)) {
                return false
            }
        }
        return true
    }

    private func spelled(_ value: JSONValue) -> String {
        switch value {
        case .object(let members):
            members.map {
                "\(JSONOutput.string(String(decoding: $0.name, as: UTF8.self)).text):\(spelled($0.value))"
            }
            .sorted().joined(separator: ",")
        case .array(let values): "[" + values.map(spelled).joined(separator: ",") + "]"
        default: JSONOutput(value).text
        }
    }

    private func isOf(_ value: JSONValue, _ type: String) -> Bool {
        switch value {
        case .null: type == "null"
        case .bool: type == "boolean"
        case .string: type == "string"
        case .array: type == "array"
        case .object: type == "object"
        case .number(let number):
            type == "number" || type == "integer" && number == number.rounded()
        }
    }
}
