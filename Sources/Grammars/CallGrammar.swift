package import TesseraReporting

/// How a model writes calls of functions: `opening`, a JSON object with a name and arguments, `closing`.
package struct CallForm: Sendable, Equatable {
    /// What tells a call from text. Empty: an answer that begins with `{` is a call.
    package var marker: String
    package var opening: String
    package var closing: String
    /// The member that holds the arguments.
    package var arguments: String

    package init(marker: String, opening: String, closing: String, arguments: String) {
        (self.marker, self.opening) = (marker, opening)
        (self.closing, self.arguments) = (closing, arguments)
    }
}

/// A function that may be called.
package struct CalledFunction: Sendable {
    package var name: String
    /// A JSON Schema of the arguments; nil for any object.
    package var parameters: JSONValue?
    /// Whether the arguments must follow the schema; else one that is not supported stands for any object.
    package var isStrict: Bool

    package init(name: String, parameters: JSONValue?, isStrict: Bool) {
        (self.name, self.parameters, self.isStrict) = (name, parameters, isStrict)
    }
}

extension Grammar {
    /// Calls of functions, after text or not.
    ///
    /// - Parameters:
    ///   - isRequired: There is a call, and no text.
    ///   - most: Calls of one answer; nil for any number.
    /// - Throws: Where a schema that must be followed is not supported.
    package init(
        calls form: CallForm, _ functions: [CalledFunction], isRequired: Bool, most: Int?
    ) throws(GrammarError) {
        var rules = SchemaCompiler.firstRules
        var bodies: [Expression] = []
        for function in functions {
            let arguments = try Self.arguments(of: function, &rules)
            let name = JSONOutput.string(function.name).text
            bodies.append(
                .sequence([
                    .text("{\"name\": \(name), \"\(form.arguments)\": "), arguments, .text("}"),
                ]))
        }
        let call = Expression.sequence([
            .text(form.opening), .choice(bodies), .text(form.closing),
        ])
        rules.append(Rule(name: "a call", body: call))
        let called = Expression.rule(rules.count - 1)
        let isOne = most == 1 || form.marker.isEmpty
        let more = Expression.repeated(
            .sequence([.text("\n" + form.marker), called]), least: 0,
            most: isOne ? 0 : most.map { $0 - 1 })
        let calls = Expression.sequence([called, more])
        if isRequired {
            rules.append(Rule(name: "calls", body: .sequence([.text(form.marker), calls])))
        } else if form.marker.isEmpty {
            let space: [ClosedRange<UInt32>] = [9...13, 0x20...0x20]
            let first = Characters.complement(space + [0x7b...0x7b])
            let text = Expression.sequence([
                .characters(first), .any(of: .characters(Characters.all)),
            ])
            rules.append(Rule(name: "an answer", body: .choice([calls, text])))
        } else {
            Self.addText(upTo: form.marker, then: calls, &rules)
        }
        try self.init(rules, root: rules.count - 1)
    }

    private static func arguments(
        of function: CalledFunction, _ rules: inout [Rule]
    ) throws(GrammarError) -> Expression {
        guard let parameters = function.parameters else {
            return JSONParts.anyObject(SchemaCompiler.anything)
        }
        do throws(GrammarError) {
            _ = try Grammar(schema: parameters)  // refused as a whole, or not
            var compiler = SchemaCompiler(parameters, after: rules)
            let root = try compiler.compile()
            rules = compiler.rules
            return .rule(root)
        } catch {
            guard function.isStrict else { return JSONParts.anyObject(SchemaCompiler.anything) }
            throw error
        }
    }

    /// Adds a rule for text without `marker`, perhaps followed by it and `rest`. One rule for each beginning of the
    /// marker that the text may end with; only its first character is one that it begins with.
    private static func addText(
        upTo marker: String, then rest: Expression, _ rules: inout [Rule]
    ) {
        let scalars = marker.unicodeScalars.map(\.value)
        let first = scalars[0]
        let begin = rules.count
        for (index, scalar) in scalars.enumerated() {
            let isLast = index == scalars.count - 1
            let others = Characters.complement([first...first, scalar...scalar])
            var parts: [Expression] = [
                .empty,
                .sequence([
                    .characters([scalar...scalar]), isLast ? rest : .rule(begin + index + 1),
                ]),
                .sequence([.characters(others), .rule(begin)]),
            ]
            if index > 0 {
                parts.append(.sequence([.characters([first...first]), .rule(begin + 1)]))
            }
            rules.append(Rule(name: "an answer", body: .choice(parts)))
        }
        rules.append(Rule(name: "an answer", body: .rule(begin)))
    }
}
