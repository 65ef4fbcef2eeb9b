"""Random chat templates: statements, expressions, white space control, from a grammar.

Most templates run through without an error, since names mostly mean what the place wants: text (t),
number (n), list (l), dictionary (d) or anything (a).
"""

import random

STRINGS = ["", "a", "Ab c", " x ", "a\nb\n\nc", "<|im_end|>", "it's", '"q"', "\u00e9\u4e2d", "a,b,,c",
           "\t", "ABC", "12", "-3", "1.5", "\u03a3\u03a3 a\u03a3", "user", "role", "{} {x}", "%s", "a\\b",
           "a\r\nb", "x" * 12, "\U0001f600", "\u00df", "a-b c", "hello world (foo) [bar]", "\x1c", "\u2028"]
NAMES = {"t": ["s", "s2", "bos_token", "messages[0].content", "messages[-1]['role']", "m.content"],
         "n": ["i", "j", "f", "loop.index", "messages|length", "true", "loop.revindex0"],
         "l": ["l", "messages", "l2", "nested", "words"],
         "d": ["d", "messages[0]", "ints", "m", "deep"],
         "a": ["nothing", "missing", "yes", "tools", "documents", "ns.a", "ns.b", "s", "i", "l", "d", "x"]}
TEXT_METHODS = ["upper()", "lower()", "title()", "capitalize()", "swapcase()", "strip()", "lstrip()", "rstrip()",
                "strip({t})", "lstrip({t})", "rstrip({t})", "replace({t}, {t})", "replace({t}, {t}, {n})",
                "removeprefix({t})", "removesuffix({t})", "center({w})", "ljust({w}, '*')", "rjust({w})",
                "zfill({w})", "format({a}, x={a})", "join({lt})"]
LIST_METHODS = ["split()", "split({t})", "split({t}, {n})", "rsplit({t}, {n})", "rsplit(none, {n})", "split(none, {n})",
                "splitlines()", "splitlines(true)", "partition({t})", "rpartition({t})", "split(sep={t}, maxsplit={n})"]
NUMBER_METHODS = ["find({t})", "rfind({t})", "count({t})", "index({t})", "find({t}, {n})", "rfind({t}, {n}, {n})",
                  "count({t}, {n})"]
FLAG_METHODS = ["startswith({t})", "endswith({t})", "startswith(({t}, {t}))", "isdigit()", "isalpha()", "isupper()",
                "islower()", "isspace()", "isalnum()", "isnumeric()", "isascii()", "isdecimal()", "endswith({t}, {n})",
                "startswith({t}, {n}, {n})"]
TEXT_FILTERS = ["upper", "lower", "title", "capitalize", "trim", "trim({t})", "string", "replace({t}, {t})",
                "replace({t}, {t}, {n})", "replace({t}, {t}, count={n})", "indent", "indent({w})", "indent({w}, true)",
                "indent(width={w}, first={b}, blank={b})", "indent({t})", "truncate({w})", "truncate({w}, true)",
                "truncate({w}, {b}, '..', 0)", "center({w})", "reverse", "default({t})", "format({a})", "safe",
                "escape", "trim|upper", "default({t}, true)", "d({t}, boolean={b})"]
ANY_TEXT_FILTERS = ["string", "tojson", "tojson(indent={w})", "tojson(indent={b})", "tojson(separators=(',', ':'))",
                    "tojson(sort_keys=true)", "tojson(ensure_ascii=true)", "tojson(indent={w}, separators=[',', ': '])",
                    "tojson(ensure_ascii={b}, sort_keys={b}, indent=none)", "tojson(indent={t})", "string|length",
                    "tojson|safe"]
LIST_FILTERS = ["list", "sort", "sort(reverse=true)", "sort({b}, {b})", "sort(attribute='role')", "sort(case_sensitive={b})",
                "sort(reverse={b}, attribute='role,content')", "unique|list", "unique(true)|list",
                "unique(attribute='role')|list", "reverse|list", "map(attribute='role')|list",
                "map(attribute='x', default={a})|list", "map(attribute='a.0', default={a})|list", "map('upper')|list",
                "map('default', {a})|list", "map('string')|list", "map('replace', {t}, {t})|list", "select|list", "reject|list",
                "select('string')|list", "reject('equalto', {a})|list", "select('in', {l})|list", "map('length')|list",
                "selectattr('role')|list", "selectattr('role', 'equalto', 'user')|list", "map('tojson', indent={w})|list",
                "rejectattr('role', 'in', ['user', 'x'])|list", "rejectattr('missing')|list", "batch({p})|list",
                "batch({p}, {a})|list", "slice({p})|list", "slice({p}, {a})|list", "map('trim')|map('upper')|list",
                "selectattr('content', 'defined')|list", "select('gt', {n})|list", "select('odd')|list", "map('int')|list",
                "map(attribute=0)|list", "selectattr('0', 'defined')|list", "sort(attribute='0')", "default([1])"]
NUMBER_FILTERS = ["length", "count", "sum", "sum(start={n})", "sum(attribute='n')", "first|default(0)", "max|default(1)",
                  "min|default(2)"]
SCALAR_FILTERS = ["int", "float", "int({n})", "int(default={n})", "float({n})", "abs", "round", "round({p})",
                  "round({p}, 'floor')", "round(method='ceil')", "default({n})", "wordcount", "int(0, 16)", "string|int"]
DICT_LISTS = ["items()|list", "keys()|list", "values()|list", "|items|list", "|dictsort", "|dictsort(reverse=true)",
              "|dictsort(by='value')", "|dictsort(true, 'key', {b})", "|list", "|dictsort(case_sensitive={b})"]
TESTS = ["defined", "undefined", "none", "string", "number", "mapping", "iterable", "sequence", "boolean", "true", "false",
         "integer", "float", "callable", "odd", "even", "equalto({a})", "eq {a0}", "ne({a})", "in({l})", "in {l0}",
         "divisibleby({p})", "gt({n})", "lt {n0}", "ge({n})", "le({n})", "lower", "upper", "sameas(none)", "sameas true",
         "== {a0}", "escaped", "not none", "not defined", "lessthan({n})"]
COMPARISONS = ["==", "!=", "<", ">", "<=", ">=", "in", "not in"]


class Grammar:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.macros = []
        self.in_loop = 0

    def pick(self, choices):
        return self.random.choice(choices)

    def chance(self, share):
        return self.random.random() < share

    def fill(self, form, depth):
        """Puts expressions into the `{}` of a form."""
        out, at = "", 0
        while at < len(form):
            if form[at] == "{" and "}" in form[at:]:
                end = form.index("}", at)
                kind = form[at + 1:end]
                if kind in ("t", "n", "l", "d", "a", "b", "w", "p", "lt", "a0", "l0", "n0"):
                    out += self.expression(kind, depth - 1)
                    at = end + 1
                    continue
            out += form[at]
            at += 1
        return out

    def quoted(self, text):
        quote = self.pick("'\"")
        out = text.replace("\\", "\\\\").replace(quote, "\\" + quote)
        if self.chance(0.7):
            out = out.replace("\n", "\\n").replace("\t", "\\t")
        if self.chance(0.1):
            out = "".join(c if ord(c) < 128 or ord(c) > 65535 else "\\u%04x" % ord(c) for c in out)
        return quote + out + quote

    def number(self):
        return self.pick(["0", "1", "2", "3", "-1", "-2", "7", "10", "1.5", "-0.5", "1e3", "1_000", "0x1F", "2.0", "100"])

    def expression(self, kind, depth):
        r = self.random.random()
        if kind == "b":
            return self.pick(["true", "false"])
        if kind in ("w", "p"):
            return str(self.random.randint(kind == "p", 12 if kind == "w" else 4))
        if kind in ("a0", "l0", "n0"):
            return self.pick(NAMES[kind[0]][:3]) if kind != "n0" else self.pick(["1", "2", "i"])
        if kind == "lt":
            return self.pick(["['a', 'b']", "words", "s.split()", "l|map('string')|list", "'abc'", "d.keys()"])
        if depth <= 0 or r < 0.2:
            return self.leaf(kind)
        if r < 0.26:
            return "(" + self.expression(kind, depth - 1) + ")"
        if r < 0.32:
            return "%s if %s else %s" % tuple(
                self.expression(k, depth - 1) for k in (kind, "a", kind)) if self.chance(0.8) else (
                "(%s if %s)" % (self.expression(kind, depth - 1), self.expression("a", depth - 1)))
        return getattr(self, "make_" + kind)(depth)

    def leaf(self, kind):
        if self.chance(0.5):
            return self.pick(NAMES[kind])
        if kind == "t":
            return self.quoted(self.pick(STRINGS))
        if kind == "n":
            return self.number()
        if kind == "l":
            return self.pick(["[]", "[1, 2, 3]", "['b', 'A', 'a', 'B']", "(1, 'x')", "range(4)", "'abc'|list", "[[1, 2], [3]]",
                              "range(5, 0, -2)", "[none, true, 1.0]", "[{'role': 'user', 'n': 2}, {'role': 'A', 'n': 1}]", "()",
                              "(1,)", "[{'a': [1, 2]}, {'a': []}, {'x': none}]", "[1, 1.0, true]", "['x', 'X', 'y']"])
        if kind == "d":
            return self.pick(["{}", "{'a': 1, 'b': [2, none]}", "{1: 'x', 'y': 2}", "dict(a=1, b='c')", "{'B': 2, 'a': 1, 'C': 0}",
                              "dict([('k', 'v')])", "{'items': 1, 'keys': 2}", "{true: 1, none: 2}", "dict(d, z=9)"])
        return self.pick(["none", "true", "false", "1", "'s'", "[1]", "{}", "1.5", "missing", "True", "None", "namespace(q=1)"])

    def make_t(self, depth):
        e = lambda kind: self.expression(kind, depth - 1)
        r = self.random.random()
        if r < 0.2:
            return "%s %s %s" % (e("t"), self.pick("~+"), e("t"))
        if r < 0.3:
            return "%s ~ %s" % (self.atom("a", depth), self.atom("a", depth))
        if r < 0.45:
            return self.atom("t", depth) + "." + self.fill(self.pick(TEXT_METHODS), depth)
        if r < 0.65:
            return self.atom("t", depth) + "|" + self.fill(self.pick(TEXT_FILTERS), depth)
        if r < 0.78:
            return self.atom(self.pick("lda"), depth) + "|" + self.fill(self.pick(ANY_TEXT_FILTERS), depth)
        if r < 0.84:
            return self.atom("t", depth) + self.slicing()
        if r < 0.9:
            return "%s|join(%s)" % (self.atom("l", depth), e("t")) if self.chance(0.7) else "%s|join(%s, attribute='role')" % (
                self.atom("l", depth), self.pick(["''", "', '", "d='-'"]))
        if r < 0.93:
            return "%s * %s" % (self.atom("t", depth), self.pick(["2", "0", "-1", "i", "3"]))
        if r < 0.97:
            form = self.pick(["'%s'", "'%5s|%-5s|'", "'%d'", "'%.2f'", "'%%%s'", "'%r'", "'%05d'", "'%+d'", "'%x'", "'%3d'"])
            return "%s %% %s" % (form, self.pick(["(%s, %s)" % (e("a"), e("n")), self.atom("a", depth), self.atom("n", depth)]))
        form = self.pick(["'{}'", "'{:>8}'", "'{0}{0}'", "'{:05d}'", "'{:.2f}'", "'{x}'", "'{:<6}|'", "'{:^7}'", "'{:,}'", "'{!r}'",
                          "'{{}}{}'", "'{:+}'", "'{:.1%}'", "'{:*^9}'", "'{:x}'"])
        return "%s.format(%s, x=%s)" % (form, e("a"), e("a"))

    def atom(self, kind, depth):
        text = self.expression(kind, depth - 1)
        return text if text.isidentifier() else "(" + text + ")"

    def slicing(self):
        return self._slice(lambda: self.pick(["", "", "0", "1", "-1", "2", "-2", "i", "100", "none"]))

    def _slice(self, part):
        r = self.random.random()
        if r < 0.4:
            return "[%s:%s]" % (part(), part())
        if r < 0.6:
            return "[%s:%s:%s]" % (part(), part(), self.pick(["", "1", "2", "-1", "-2"]))
        return "[%s]" % self.pick(["0", "1", "-1", "i", "5", "-7"])

    def make_n(self, depth):
        r = self.random.random()
        if r < 0.4:
            parts = [self.atom("n", depth)]
            for _ in range(self.random.randint(1, 2)):
                parts += [self.pick(["+", "-", "*", "//", "%", "/", "**", "+", "-"]),
                          self.pick(["", "", "-"]) + self.atom("n", depth)]
            return " ".join(parts)
        if r < 0.5:
            return self.atom("t", depth) + "." + self.fill(self.pick(NUMBER_METHODS), depth)
        if r < 0.65:
            return self.atom("l", depth) + "|" + self.fill(self.pick(NUMBER_FILTERS), depth)
        if r < 0.85:
            return self.atom(self.pick("nta"), depth) + "|" + self.fill(self.pick(SCALAR_FILTERS), depth)
        if r < 0.9:
            return "-" + self.atom("n", depth)
        return self.make_b(depth)

    def make_b(self, depth):
        e = lambda kind: self.expression(kind, depth - 1)
        r = self.random.random()
        if r < 0.25:
            return "%s %s %s" % (self.atom("a", depth), self.pick(["==", "!="]), self.atom("a", depth))
        if r < 0.4:
            kind = self.pick("tn")
            return "%s %s %s" % (self.atom(kind, depth), self.pick(COMPARISONS[:6]), self.atom(kind, depth)) + (
                " %s %s" % (self.pick(COMPARISONS[:6]), self.atom(kind, depth)) if self.chance(0.2) else "")
        if r < 0.5:
            return "%s %s %s" % (self.atom("a", depth), self.pick(["in", "not in"]), self.atom(self.pick("ldt"), depth))
        if r < 0.6:
            return self.atom("t", depth) + "." + self.fill(self.pick(FLAG_METHODS), depth)
        if r < 0.8:
            return "%s is %s%s" % (self.atom(self.pick("atnld"), depth), self.pick(["", "", "not "]),
                                   self.fill(self.pick(TESTS), depth).replace("not not", "not"))
        if r < 0.9:
            return "%s %s %s" % (e("a"), self.pick(["and", "or"]), e("a"))
        return "not " + e("a")

    def make_l(self, depth):
        e = lambda kind: self.expression(kind, depth - 1)
        r = self.random.random()
        if r < 0.35:
            return self.atom("l", depth) + "|" + self.fill(self.pick(LIST_FILTERS), depth)
        if r < 0.5:
            return self.atom("t", depth) + "." + self.fill(self.pick(LIST_METHODS), depth)
        if r < 0.6:
            return "[" + ", ".join(e("a") for _ in range(self.random.randint(0, 3))) + "]"
        if r < 0.7:
            form = self.fill(self.pick(DICT_LISTS), depth)
            return self.atom("d", depth) + (form if form[0] == "|" else "." + form)
        if r < 0.8:
            return self.atom("l", depth) + self._slice(lambda: self.pick(["", "0", "1", "-1", "i"]))
        if r < 0.88:
            return "%s + %s" % (self.atom("l", depth), self.atom("l", depth))
        if r < 0.94:
            return "range(%s)" % ", ".join(self.pick(["0", "3", "i", "5", "-2", "10"]) for _ in range(self.random.randint(1, 3)))
        return "(%s, %s)" % (e("a"), e("a"))

    def make_d(self, depth):
        e = lambda kind: self.expression(kind, depth - 1)
        r = self.random.random()
        if r < 0.6:
            return "{" + ", ".join("%s: %s" % (self.pick([self.quoted(self.pick(STRINGS)), "1", "i", "s", "'a'", "none"]), e("a"))
                                   for _ in range(self.random.randint(0, 3))) + "}"
        if r < 0.8:
            return "dict(%s)" % ", ".join("%s=%s" % (name, e("a")) for name in ("a", "b")[:self.random.randint(0, 2)])
        return "%s.get(%s, {})" % (self.atom("d", depth), self.quoted(self.pick(["a", "role", "k"])))

    def make_a(self, depth):
        e = lambda kind: self.expression(kind, depth - 1)
        r = self.random.random()
        if r < 0.25:
            return self.make_b(depth)
        if r < 0.6:
            return getattr(self, "make_" + self.pick("tnld"))(depth)
        if r < 0.7:
            return self.atom("d", depth) + self.pick([".a", "['a']", ".role", "[i]", ".get('b')", ".get(1, 'z')", ".items", "['x'].y",
                                                       "[none]", "['keys']", ".nothing", "[0]"])
        if r < 0.78:
            return self.atom("l", depth) + self.pick(["[0]", "[-1]", "|first", "|last", "[9]", "|max", "|min", "|sum"])
        if r < 0.84 and self.macros:
            return "%s(%s)" % (self.pick(self.macros), ", ".join(e("a") for _ in range(self.random.randint(0, 2))))
        if r < 0.92:
            return "%s|default(%s%s)" % (self.atom("a", depth), e("a"), self.pick(["", ", true", ", boolean=true"]))
        return "%s %s %s" % (e("a"), self.pick(["or", "and"]), e("a"))

    # Statements

    def tag(self, inside, kind="%"):
        begin, end = ("{%", "%}") if kind == "%" else ("{{", "}}") if kind == "{" else ("{#", "#}")
        left = self.pick(["", "", "", "-", "-", "+"]) if kind != "{" else self.pick(["", "", "-"])
        right = self.pick(["", "", "", "-", "-", "+"]) if kind != "{" else self.pick(["", "", "-"])
        space = self.pick([" ", " ", " ", "", "\n"])
        if kind == "{" and inside.startswith(("-", "+", "{")) or inside.endswith("}"):
            space = " "
        return begin + left + space + inside + (space or " ") + right + end

    def text(self):
        return "".join(self.pick([" ", "\n", "a", "b c", "  ", "\n\n", "<|x|>", "\t", "\r\n", "{", "}", "\u00e9", "# ", "\n  "])
                       for _ in range(self.random.randint(0, 4)))

    def body(self, depth):
        return "".join(self.text() + self.statement(depth - 1) for _ in range(self.random.randint(0, 3))) + self.text()

    def loop_body(self, depth):
        self.in_loop += 1
        text = self.body(depth)
        self.in_loop -= 1
        return text

    def outside(self, depth):
        saved, self.in_loop = self.in_loop, 0
        text = self.body(depth)
        self.in_loop = saved
        return text

    def statement(self, depth):
        e = lambda kind: self.expression(kind, 3)
        r = self.random.random()
        if depth <= 0 or r < 0.4:
            return self.tag(e(self.pick("ttnldaa")), "{")
        if r < 0.45:
            return self.tag(self.pick([" note ", "", " {{ x }} ", " % ", "-", " a\nb "]), "#")
        if r < 0.57:
            middle = ""
            if self.chance(0.3):
                middle += self.tag("elif " + e("a")) + self.body(depth)
            if self.chance(0.5):
                middle += self.tag("else") + self.body(depth)
            return self.tag("if " + e("a")) + self.body(depth) + middle + self.tag("endif")
        if r < 0.72:
            return self.loop(depth)
        if r < 0.8:
            form = self.pick(["x = %s", "i = %s", "s = %s", "l = %s", "ns.a = %s", "ns.b = %s", "x, y = 1, %s", "j = %s", "d = %s"])
            kind = {"i": "n", "j": "n", "s": "t", "l": "l", "d": "d"}.get(form[0], "a")
            return self.tag("set " + form % e(kind))
        if r < 0.84:
            return self.tag("set " + self.pick(["x", "s", "ns.a", "x | upper", "x | trim | replace('a', 'b')"])) + (
                self.outside(depth)) + self.tag("endset")
        if r < 0.89:
            return self.macro(depth)
        if r < 0.92:
            return self.tag("filter " + self.fill(self.pick(TEXT_FILTERS[:14]), 2)) + self.outside(depth) + self.tag("endfilter")
        if r < 0.95:
            return self.tag("with " + self.pick(["x = %s", "x = %s, y = x", "s = 'w', i = %s"]) % e("n")) + (
                self.body(depth)) + self.tag("endwith")
        if r < 0.96:
            return self.tag("generation") + self.outside(depth) + self.tag("endgeneration")
        if r < 0.98:
            return self.tag("raw") + self.pick(["{{ x }}", " {% if %} ", "\n a \n", "", "  \n {{"]) + self.tag("endraw")
        return self.tag(self.pick(["break", "continue"])) if self.in_loop else ""

    def loop(self, depth):
        e = lambda kind: self.expression(kind, 2)
        r = self.random.random()
        if r < 0.4:
            head = "for m in messages"
        elif r < 0.55:
            head = "for k, v in %s.items()" % self.atom("d", 2)
        elif r < 0.6:
            head = "for (a, b), c in [((1, 2), 3), (('x', 'y'), 'z')]"
        else:
            head = "for x in " + self.pick([e("l"), self.atom("l", 2), e("d"), e("t") if self.chance(0.5) else "range(3)"])
        if self.chance(0.25):
            head += " if " + self.expression("a", 2)
        inside = ""
        if self.chance(0.3):
            inside = self.tag(self.pick(["loop.index", "loop.last", "loop.first", "loop.revindex", "loop.length", "loop.previtem",
                                         "loop.nextitem is defined", "loop.cycle('a', 'b', 3)", "loop.depth", "loop.changed(x)",
                                         "loop.index0 ~ loop.revindex0", "loop.changed(loop.index // 2)"]), "{")
        otherwise = self.tag("else") + self.body(depth) if self.chance(0.2) else ""
        return self.tag(head) + inside + self.loop_body(depth) + otherwise + self.tag("endfor")

    def macro(self, depth):
        if self.macros and self.chance(0.3):
            head = "call%s %s(%s)" % (self.pick(["", "(q)"]), self.pick(self.macros), self.expression("a", 2))
            return self.tag(head) + self.outside(depth) + self.tag("endcall")
        name = self.pick(["f", "g", "h"])
        parameters = self.pick(["", "x", "x, y='d'", "x=1, y=x", "p, q=none"])
        extra = self.pick(["", "", self.tag("caller()", "{"), self.tag("varargs", "{"), self.tag("kwargs", "{"),
                           self.tag("caller(1)", "{"), self.tag("caller is defined", "{")])
        text = self.tag("macro %s(%s)" % (name, parameters)) + self.outside(depth) + extra + self.tag("endmacro")
        if name not in self.macros:
            self.macros.append(name)
        call = self.tag("%s(%s)" % (name, self.pick(["", "1", "'a', 2", "x='k'", "1, 2, 3", "q=1"])), "{")
        return text + (call if self.chance(0.7) else "")

    def template(self):
        head = self.pick(["{% set ns = namespace(a=1, b='n') %}", "{%- set ns = namespace(a=[], b=none) -%}\n"])
        return head + self.body(3) + self.statement(2) + self.text()

    def variables(self):
        content = lambda: self.pick(STRINGS) + self.pick(["", " ", "\n", "zz"]) + self.pick(STRINGS)
        roles = self.random.choice([["user"], ["system", "user"], ["user", "assistant", "user"]])
        return {
            "messages": [{"role": role, "content": content()} for role in roles],
            "add_generation_prompt": True, "bos_token": "<s>", "s": content(), "s2": self.pick(STRINGS),
            "i": self.random.randint(-2, 5), "j": self.random.randint(0, 3), "f": 2.5, "nothing": None, "yes": True,
            "l": self.pick([[3, 1, 2], ["b", "a", "B"], [], [1, "x", None], [[2, "b"], [1, "a"]]]), "l2": [0, 1.5, -1, True],
            "nested": [{"role": "x", "n": 1, "content": "C"}, {"role": "U", "n": 2, "content": None}],
            "words": ["Hello", "world", ""], "d": {"a": 1, "b": [1, 2], "role": "r"},
            "ints": {"items": "own", "k": {"x": None}}, "deep": {"a": {"b": {"c": [1, {"d": "e"}]}}},
        }
