import TesseraChatTemplates
import Testing

/// Templates from a stranger that try to hang the program, to fill its memory or to crash it. All end
/// with an error after a bounded number of steps.
struct HostileTemplateTests {
    private static let least = "(-9223372036854775807 - 1)"

    private static func grown(_ start: String, _ step: String, _ use: String) -> String {
        "{% set ns = namespace(s=\(start)) %}{% for i in range(99999) %}"
            + "{% set ns.s = \(step) %}{% endfor %}\(use)"
    }

    private func expectFailure(_ source: String, where isExpected: (TemplateError) -> Bool) {
        do throws(TemplateError) {
            let template = try ChatTemplate(parsing: source)
            let text = try template.render([Message(role: "user", content: "x")])
            Issue.record("\(source.prefix(80)) gives \(text.map(\.text).joined().prefix(80))")
        } catch {
            #expect(isExpected(error), "\(source.prefix(80)): \(error)")
        }
    }

    @Test(
        .timeLimit(.minutes(30)),
        arguments: [
            "{% for i in range(60000) %}{% for j in range(60000) %}x{% endfor %}{% endfor %}",
            grown("'aaaaaaaaaaaaaaaa'", "ns.s ~ ns.s", "{{ ns.s }}"),
            grown("[1]", "ns.s + ns.s", "{{ ns.s }}"),
            grown("{}", "dict(ns.s, **{'a' ~ i: i})", ""),
            "{{ ('a' * 1000000)|replace('a', 'b' * 1000000) }}",
            "{{ range(100000)|join('b' * 1000000) }}", "{{ 'a'.ljust(9223372036854775807) }}",
            "{{ ('\\n' * 100000)|indent(100000, true, true) }}",
            "{{ 'a'|center(9223372036854775807) }}", "{{ [1]|slice(9223372036854775807)|list }}",
            "{{ [1]|batch(9223372036854775807, 0)|list }}", "{{ 'a' * 1000000000 }}",
            "{{ [1]|tojson(indent=9223372036854775807) }}", "{{ range(9223372036854775807) }}",
            "{% set k = 'a' * 1000000 %}{% for i in range(99999) %}{{ (k ~ 'b') in k }}{% endfor %}",
        ])
    func workIsBounded(source: String) {
        expectFailure(source) { if case .limit = $0 { true } else { false } }
    }

    /// Values whose parts are shared hold exponentially many.
    @Test(
        .timeLimit(.minutes(30)),
        arguments: ["{{ s }}", "{{ s|tojson }}", "{{ s == t }}", "{{ s in [t] }}", "{{ s < t }}"])
    func workOnSharedPartsIsBounded(use: String) {
        let doubling = "{% for i in range(40) %}{% set ns.s = [ns.s, ns.s] %}"
        let template =
            "{% set ns = namespace(s=[1], t=[1]) %}\(doubling)"
            + "{% set ns.t = [ns.t, ns.t] %}{% endfor %}{% set s = ns.s %}{% set t = ns.t %}\(use)"
        expectFailure(template) { if case .limit = $0 { true } else { false } }
    }

    @Test(
        .timeLimit(.minutes(30)),
        arguments: [
            "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
            "{% macro m() %}{{ caller() }}{% endmacro %}{% macro r() %}"
                + "{% call m() %}{{ r() }}{% endcall %}{% endmacro %}{{ r() }}",
            "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
            grown("[]", "[ns.s]", "{{ ns.s }}"), grown("[]", "{1: ns.s}", "{{ ns.s|tojson }}"),
            grown("()", "(ns.s,)", ""), grown("[]", "[[ns.s].index]", ""),
        ])
    func depthIsBounded(source: String) {
        expectFailure(source) { if case .limit = $0 { true } else { false } }
    }

    @Test(.timeLimit(.minutes(30)))
    func namespacesThatHoldEachOtherAreTakenApart() throws {
        let chain = Self.grown("[]", "namespace(s=ns.s)", "ok{% set ns.s = [ns] %}")
        let text = try ChatTemplate(parsing: chain).render([])
        #expect(text.map(\.text) == ["ok"])
    }

    @Test(
        .timeLimit(.minutes(30)),
        arguments: ["(", "[", "{1: ", "not ", "-", "- ", "1 if 1 else ", "x[", "f("])
    func nestedExpressionsAreRefused(opening: String) {
        let source = "{{ " + String(repeating: opening, count: 20_000) + "1"
        expectFailure(source) { if case .syntax = $0 { true } else { false } }
        let closing = ["(": ")", "[": "]", "{1: ": "}", "x[": "]", "f(": ")"][opening] ?? ""
        expectFailure(source + String(repeating: closing, count: 20_000) + " }}") {
            if case .syntax = $0 { true } else { false }
        }
    }

    @Test(
        .timeLimit(.minutes(30)),
        arguments: ["{% if a %}", "{% for a in b %}", "{% macro a() %}", "{% with %}"])
    func nestedStatementsAreRefused(opening: String) {
        expectFailure(String(repeating: opening, count: 5000)) {
            if case .syntax = $0 { true } else { false }
        }
    }

    /// Long chains need no depth.
    @Test(
        .timeLimit(.minutes(30)),
        arguments: [
            ("1", "+1", "5001"), ("1", "**1", "1"), ("1", " and 1", "1"), ("0", " or 0", "0"),
            ("1", "<=1", "True"), ("'a'", "~''", "a"), ("1", "*1", "1"), ("[]", "|list", "[]"),
            ("'a'", "[0]", "a"), ("'a'", ".strip()", "a"),
        ])
    func chainsAreOfAnyLength(start: String, step: String, expected: String) throws {
        let source = "{{ " + start + String(repeating: step, count: 5000) + " }}"
        #expect(try ChatTemplate(parsing: source).render([]).map(\.text).joined() == expected)
    }

    @Test(arguments: [
        "\(least) // -1", "\(least) % -1", "-\(least)", "\(least)|abs", "\(least) - 1",
        "'ab' * 9223372036854775807", "[1, 2] * 4611686018427387905", "3 ** 64", "2 ** 63",
        "range(-9223372036854775807, 9223372036854775807)", "9223372036854775807 + 1",
        "9223372036854775807 * 2", "'99999999999999999999'|int", "1e300|int",
        "9007199254740993 / 1",
    ])
    func numbersTooLargeAreRefused(expression: String) {
        expectFailure("a\n{{ \(expression) }}") {
            $0 == .evaluation(line: 2, reason: "a number too large")
        }
    }

    @Test(arguments: [
        ("9223372036854775806 % 9223372036854775807", "9223372036854775806"),
        ("\(least) // 3", "-3074457345618258603"), ("'' * 9223372036854775807", ""),
        ("'abc'[\(least):9223372036854775807:9223372036854775807]", "a"),
        ("'abc'[::\(least)]", "c"), ("'abc'[\(least)]", ""),
        ("range(0, 10, \(least))|list", "[]"), ("[1]|batch(9223372036854775807)|list", "[[1]]"),
        ("'abc'|truncate(9223372036854775807, leeway=9223372036854775807)", "abc"),
        ("-7 // 2, -7 % 3, 7 // -2, 7 % -3, -7.5 // 2, -7.5 % 2", "(-4, 2, -4, -2, -4.0, 0.5)"),
    ])
    func largeNumbersAreHarmless(expression: String, expected: String) throws {
        let template = try ChatTemplate(parsing: "{{ \(expression) }}")
        #expect(try template.render([]).map(\.text).joined() == expected)
    }

    @Test(
        .timeLimit(.minutes(30)),
        arguments: [
            "{% raw %}x{% endraw", "{% raw %}x{% endraw %", "{% raw", "{% raw %}",
            "{% raw %}" + String(repeating: "{% ", count: 20_000), "{#", "{{", "{%",
            "{%" + String(repeating: " ", count: 100_000),
            "{{ '" + String(repeating: "a", count: 9),
            "{{ " + String(repeating: "a", count: 100_000) + " }}", "{{ '\\", "{{ '\\x4", "{{ 0x",
            "{{ 1_", "{{ \u{1f600} }}", "{% for", "{% call", "{% filter", "{% with a", "{% set",
        ])
    func cutTemplatesAreRefused(source: String) {
        expectFailure(source) { if case .syntax = $0 { true } else { false } }
    }

    /// A template takes time linear in its length: a megabyte of each kind of token.
    @Test(
        .timeLimit(.minutes(30)),
        arguments: ["{{ a }}\n", "{# a #}\n", "{ ", "{{ {}['a'] }}", "{% if a %}\n{% endif %}"])
    func longTemplatesAreParsed(unit: String) throws {
        let count = 200_000 / unit.count
        _ = try ChatTemplate(parsing: String(repeating: unit, count: count))
    }

    /// A long message takes time linear in its length.
    @Test(
        .timeLimit(.minutes(30)),
        arguments: [
            "m.split('\\n')|length", "m|replace('\\n', '')|length", "m.splitlines()|length",
            "m.count('\\n')", "m.rsplit('\\n')|length", "m.find('zz')", "('a' * 30000) in m",
            "m.rpartition('\\n')|length", "m|trim|length", "m|indent|length", "m|tojson|length",
        ])
    func longMessagesAreRendered(expression: String) throws {
        let template = try ChatTemplate(
            parsing: "{% set m = messages[0].content %}{{ \(expression) }}")
        let message = Message(role: "user", content: String(repeating: "ab\n", count: 60_000))
        #expect(try !template.render([message]).isEmpty)
    }
}
