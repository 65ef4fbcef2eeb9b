extension Work {
    func charge(read arguments: Arguments) throws(TemplateError) {
        for value in arguments.positional { try charge(read: value) }
        for (_, value) in arguments.named { try charge(read: value) }
    }
}

/// What a function, filter, test, method or macro is called with.
struct Arguments {
    var positional: [Value] = []
    var named: [(name: String, value: Value)] = []

    /// The values of `parameters`, in their order; what is not given is nil.
    ///
    /// - Parameter required: So many of the first must be given.
    func bound(
        to owner: String, _ parameters: [String], required: Int = 0
    ) throws(TemplateError) -> Bound {
        guard positional.count <= parameters.count else {
            throw .failure("'\(owner)' takes at most \(parameters.count) arguments")
        }
        var values = [Value?](repeating: nil, count: parameters.count)
        for (index, value) in positional.enumerated() { values[index] = value }
        for (name, value) in named {
            guard let index = parameters.firstIndex(of: name) else {
                throw .failure("'\(owner)' takes no argument '\(name)'")
            }
            guard values[index] == nil else {
                throw .failure("'\(owner)' gets '\(name)' twice")
            }
            values[index] = value
        }
        for index in 0..<required where values[index] == nil {
            throw .failure("'\(owner)' needs '\(parameters[index])'")
        }
        return Bound(owner: owner, parameters: parameters, values: values)
    }

    /// As `bound`, for methods, whose arguments have no names.
    func unnamed(
        for owner: String, _ parameters: [String], required: Int = 0
    ) throws(TemplateError) -> Bound {
        if let first = named.first {
            throw .failure("'\(owner)' takes no argument '\(first.name)'")
        }
        return try bound(to: owner, parameters, required: required)
    }

    /// Arguments by parameter.
    struct Bound {
        let owner: String
        let parameters: [String]
        let values: [Value?]

        subscript(index: Int) -> Value? { values[index] }

        private func wrong(_ index: Int, _ wanted: String) -> TemplateError {
            .failure(
                "'\(owner)': '\(parameters[index])' is \(values[index]?.kind ?? "missing"), "
                    + "not \(wanted)")
        }

        func int(_ index: Int, default standard: Int) throws(TemplateError) -> Int {
            guard let value = values[index] else { return standard }
            guard let number = value.int else { throw wrong(index, "a whole number") }
            return number
        }

        /// Nil where it is not given, or none.
        func optionalInt(_ index: Int) throws(TemplateError) -> Int? {
            guard let value = values[index], !value.isNone else { return nil }
            guard let number = value.int else { throw wrong(index, "a whole number") }
            return number
        }

        func flag(_ index: Int, default standard: Bool = false) -> Bool {
            values[index]?.isTrue ?? standard
        }

        func text(_ index: Int) throws(TemplateError) -> MarkedText {
            guard let text = values[index]?.string else { throw wrong(index, "a string") }
            return text
        }

        /// Nil where it is not given, or none.
        func optionalText(_ index: Int) throws(TemplateError) -> MarkedText? {
            guard let value = values[index], !value.isNone else { return nil }
            guard let text = value.string else { throw wrong(index, "a string") }
            return text
        }

        /// Places of text that are wanted at most; a negative number means all.
        func most(_ index: Int) throws(TemplateError) -> Int {
            guard let most = try optionalInt(index), most >= 0 else { return .max }
            return most
        }
    }
}
