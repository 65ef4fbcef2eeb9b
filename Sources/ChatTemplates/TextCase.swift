/// Upper and lower case as Python's strings have it.
extension MarkedText {
    func uppercased() -> MarkedText { map { $1.properties.uppercaseMapping } }

    func lowercased() -> MarkedText { map { lowercase($1, at: $0) } }

    func capitalized() -> MarkedText {
        map { $0 == 0 ? $1.properties.titlecaseMapping : lowercase($1, at: $0) }
    }

    /// Python's `str.title`: a letter begins a word after anything that has no case.
    func titlecased() -> MarkedText {
        var isInWord = false
        return map { index, scalar in
            defer { isInWord = scalar.properties.isCased }
            return isInWord ? lowercase(scalar, at: index) : scalar.properties.titlecaseMapping
        }
    }

    func swappingCase() -> MarkedText {
        map { index, scalar in
            if scalar.properties.isUppercase { return lowercase(scalar, at: index) }
            return scalar.properties.isLowercase
                ? scalar.properties.uppercaseMapping : String(scalar)
        }
    }

    /// The filter `title`: words begin after white space, hyphens and opening brackets.
    func titleOfWords() -> MarkedText {
        var begin = 0
        var result = MarkedText()
        func take(_ end: Int) {
            guard begin < end else { return }
            let word = self[begin..<end]
            result.units += self[begin..<begin + 1].uppercased().units
            result.units += word[1..<word.units.count].lowercased().units
            begin = end
        }
        for (index, unit) in units.enumerated() {
            let scalar = Self.scalar(unit)
            guard Self.isSpace(scalar) || "-({[<".unicodeScalars.contains(scalar) else { continue }
            take(index)
            result.units.append(unit)
            begin = index + 1
        }
        take(units.count)
        return result
    }

    /// Lower case; a sigma that ends a word is a final one.
    private func lowercase(_ scalar: Unicode.Scalar, at index: Int) -> String {
        guard scalar == "\u{3a3}" else { return scalar.properties.lowercaseMapping }
        func isCasedNext(_ indices: some Sequence<Int>) -> Bool {
            let next = indices.prefix(64).first {
                !Self.scalar(units[$0]).properties.isCaseIgnorable
            }
            return next.map { Self.scalar(units[$0]).properties.isCased } ?? false
        }
        let isFinal =
            isCasedNext((0..<index).reversed()) && !isCasedNext(index + 1..<units.count)
        return isFinal ? "\u{3c2}" : "\u{3c3}"
    }

    // MARK: Python's predicates; all are false for an empty text unless noted

    private func allScalars(_ isMember: (Unicode.Scalar) -> Bool) -> Bool {
        !isEmpty && units.allSatisfy { isMember(Self.scalar($0)) }
    }

    static func isAlpha(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter:
            true
        default: false
        }
    }

    static func isAlphanumeric(_ scalar: Unicode.Scalar) -> Bool {
        isAlpha(scalar) || scalar.properties.numericType != nil
    }

    var isAlpha: Bool { allScalars(Self.isAlpha) }
    var isAlphanumeric: Bool { allScalars(Self.isAlphanumeric) }
    var isSpace: Bool { allScalars(Self.isSpace) }
    var isNumeric: Bool { allScalars { $0.properties.numericType != nil } }
    var isDecimal: Bool { allScalars { $0.properties.numericType == .decimal } }
    var isDigit: Bool {
        allScalars { [.decimal, .digit].contains($0.properties.numericType) }
    }
    /// True for an empty text.
    var isASCII: Bool { plain.allSatisfy { $0 < 128 } }

    var isUppercase: Bool {
        let cased = units.map { Self.scalar($0).properties }.filter(\.isCased)
        return !cased.isEmpty && cased.allSatisfy(\.isUppercase)
    }

    var isLowercase: Bool {
        let cased = units.map { Self.scalar($0).properties }.filter(\.isCased)
        return !cased.isEmpty && cased.allSatisfy(\.isLowercase)
    }

    /// Words of letters, digits and `_`, the filter `wordcount`.
    var wordCount: Int {
        units.split { unit in
            let scalar = Self.scalar(unit)
            return scalar != "_" && !Self.isAlphanumeric(scalar)
        }.count
    }
}
