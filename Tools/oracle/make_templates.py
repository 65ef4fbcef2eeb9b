"""Renders chat templates with Jinja2 as Hugging Face transformers does, for the tests.

    python3 Tools/oracle/make_templates.py > Tests/ChatTemplatesTests/Resources/templates.json
    python3 Tools/oracle/make_templates.py DIRECTORY_OF_JINJA_FILES > real.json
    TESSERA_TEMPLATES=real.json Tools/swift test --filter ChatTemplateTests

The first form renders the templates below, which use what real ones use; the second those of a
directory, over the same conversations.
"""

import json
import pathlib
import sys

from jinja2.exceptions import TemplateError

from template_environment import environment

TEMPLATES = {
    "turns": "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}"
             "{{ '<s>Be kind.</s>\n' }}{% endif %}{{ '<' + m.role + '>' + m['content'] + '</>\n' }}"
             "{% endfor %}{% if add_generation_prompt %}{{ '<assistant>' }}{% endif %}",
    "white-space": "  {%- if true %}\n  a\n    {% if messages %}\nb{% endif %}\n\n {# note #}\n"
                   "{{- ' c ' -}}\n  d {%+ if true %} e{% endif %}\n{% endif %}f",
    "namespace": "{%- set ns = namespace(last=-1, seen=[]) %}\n{%- for m in messages[::-1] %}\n"
                 "{%- set index = (messages|length - 1) - loop.index0 %}\n"
                 "{%- if ns.last < 0 and m.role == 'user' and not(m.content.startswith('<r>') and "
                 "m.content.endswith('</r>')) %}{%- set ns.last = index %}{%- endif %}\n"
                 "{%- endfor %}\n{{ ns.last }}:{{ messages[ns.last].content }}",
    "thinking": "{%- for m in messages %}{%- if '</t>' in m.content %}"
                "{{- m.content.split('</t>')[-1].lstrip('\\n') }}|{{ m.content.split('</t>')[0]"
                ".rstrip('\\n').split('<t>')[-1].lstrip('\\n') }}{%- else %}{{ m.content|trim }}"
                "{%- endif %}\n{%- endfor %}{{ enable_thinking is defined and enable_thinking is false }}",
    "operators": "{{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 5 }} {{ 1 + 2 * 3 }} "
                 "{{ 'a' ~ 1 ~ none }} {{ 1 < 2 and not 3 <= 2 }} {{ 'x' if messages else 'y' }} "
                 "{{ 3 in [1, 2, 3] }} {{ 'b' not in 'abc' }} {{ [1, 'two', 3.5] }} {{ {'k': [true, none]} }} "
                 "{{ 'abcdef'[1:-1:2] }} {{ [1,2,3,4][::-1] }} {{ 'a' * 3 }} {{ [1] + [2] }} {{ 'it\\'s' }}",
    "filters": "{{ [3,1,2]|sort|join(', ') }} {{ ['b','A']|sort|first }} {{ 'hello world'|title }} "
               "{{ ' x '|trim|length }} {{ undefinedname|default('d') }} {{ ['a','b','a']|unique|list }} "
               "{{ messages|map(attribute='role')|join('/') }} {{ messages|selectattr('role','equalto','user')"
               "|list|length }} {{ ['x','y','z']|reject('equalto','y')|join(', ') }} {{ {'b':1,'a':2}|dictsort|map('first')|join }} "
               "{{ 'a\nb\n\nc'|indent(2) }} {{ 'aXbX'|replace('X','-') }} {{ '42'|int + 1 }} {{ 'é'|upper }}",
    "json": "{{ {'name': 'f', 'p': {'q': [1, 2.5, true, none], 'e': {}, 'l': []}, 's': 'é\"\\n<'}|tojson }}\n"
            "{{ {'a': [1, {'b': 'c'}]}|tojson(indent=4) }}",
    "macro": "{% macro turn(role, text='-') %}[{{ role }}: {{ text }}]{% endmacro %}"
             "{% for m in messages %}{{ turn(m.role, text=m.content) }}{{ turn('x') }}{% endfor %}",
    "loops": "{% for m in messages if m.role == 'user' %}{{ loop.index }}/{{ loop.length }}"
             "{% if loop.previtem is defined %}<{{ loop.previtem.content }}{% endif %}"
             "{% if loop.index0 == 1 %}{% break %}{% endif %}{% else %}none{% endfor %}"
             "{% for k, v in {'a': 1, 'b': 2}.items() %}{{ k }}={{ v }}{% if not loop.last %},{% endif %}"
             "{% endfor %}{% for i in range(3) %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
    "scopes": "{% set a = 1 %}{% for m in messages %}{% set a = 2 %}{% endfor %}{{ a }}"
              "{% if true %}{% set a = 3 %}{% endif %}{{ a }}{% set b %}x{{ a }}y{% endset %}{{ b }}",
    "tests": "{{ 1 is number }}{{ 'a' is string }}{{ {} is mapping }}{{ [] is iterable }}{{ none is none }}"
             "{{ x is defined }}{{ x is not defined }}{{ 3 is odd }}{{ true is boolean }}{{ 1 is equalto 1 }}",
    "refusal": "{% if messages[0].role != 'system' %}{{ raise_exception('no system turn') }}{% endif %}ok",
    "raw": "{% raw %}{{ not }} {% a %}{% endraw %}\n{{ bos_token }}",
    "raw-space": "a\n  {% raw -%}\n {{ x }} \n  {%- endraw %}\n  {% raw %}\n{% y %}\n  {% endraw +%}\nb{#- c +#}\n"
                 "  {#d#}\n  {%+ if true -%}\n e {%- endif +%}\n{{- ' f ' -}}\n{{ {'a': {}} }}",
    "call-blocks": "{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}x{% endcall %}"
                   "{% macro g(m) %}{{ m.role }}={{ caller(m.content, n=1) }}{% endmacro %}"
                   "{% for m in messages %}{% call(c, n=0) g(m) %}{{ c }}{{ n }}{{ loop.index }}{% endcall %}{% endfor %}",
    "late-globals": "{% macro f(n) %}{{ x }}{{ n }}{% if n > 0 %}{{ f(n - 1) }}{% endif %}{{ g() }}{% endmacro %}"
                    "{% macro g() %}g{% endmacro %}{% set x = messages|length %}{{ f(2) }}{% set x = 'y' %}{{ f(0) }}",
    "macro-arguments": "{% macro f(a, b=a, c='c') %}{{ a }}{{ b }}{{ c }}{{ varargs }}{{ kwargs }}{% endmacro %}"
                       "{{ f(1) }}{{ f(1, c=2) }}{{ f(1, 2, 3, 4, d=5) }}{{ f(*[1, 2], **{'c': 3}) }}{{ f() }}{{ f.name }}",
    "nothing-given": "{% if tools is not none %}tools{% endif %}{% if documents %}documents{% endif %}"
                     "{{ tools is defined }}{{ x is defined }}{{ none|selectattr('a')|list }}{{ none|map('upper')|list }}",
    "blocks": "{% filter upper|replace('A', 'b') %}a{{ messages[0].role }}{% endfilter %}{% with a = 1, b = 2 %}{{ a + b }}"
              "{% set a = 5 %}{% endwith %}{{ a is defined }}{% set x | trim | upper %} y {% set z = 1 %}{% endset %}{{ x }}"
              "{{ z is defined }}{% generation %}g{% endgeneration %}{% set a, b = 1, 2 %}{{ b }}",
    "recursion": "{% for n in [{'v': 1, 'c': [{'v': 2, 'c': [{'v': 3}]}, {'v': 4}]}] recursive %}{{ loop.depth }}:{{ n.v }}"
                 "({{ loop(n.c) if n.c }}){% endfor %}",
    "loop-else": "{% for x in [1, 2] %}{{ x }}{% break %}{% else %}e{% endfor %}{% for x in [1] %}{% continue %}{% else %}f"
                 "{% endfor %}{% for x in [] %}{% else %}g{% endfor %}{% for x in [1, 1, 2] %}{{ loop.changed(x) }}"
                 "{{ loop.cycle('a', 'b') }}{{ loop.revindex }}{% endfor %}",
    "generators": "{% set g = [3, 1]|map('string') %}{{ g|list }}{{ g|list }}{% if [1]|select('gt', 5) %}true{% endif %}"
                  "{% set r = messages|map(attribute='role') %}{{ r|first }}{{ r|join('+') }}{{ (1, 'a') }}{{ (1,) }}"
                  "{{ {'a': 1}.items() }}{{ range(1, 7, 2) }}{{ range(9)[-1] }}{% for k, v in {'z': 1, 'a': 2}|items %}{{ k }}{% endfor %}",
    "filters-more": "{{ [3, 1, 2]|sort(reverse=true) }}{{ messages|map(attribute='x', default='d')|join }}{{ 'aaa'|replace('a', 'b', 2) }}"
                    "{{ \"it's a-b (c) d_e\"|title }}{{ \"it's a\".title() }}{{ ['b', 'B', 'a']|unique|list }}{{ [1, 2, 3]|sum }}"
                    "{{ [1, 5, 2]|max }}{{ messages|sort(attribute='content')|map(attribute='role')|list }}{{ 'ab'|center(7) }}|"
                    "{{ [1, 2, 3]|batch(2, 0)|list }}{{ [1, 2, 3]|slice(2)|list }}{{ 'a b c d e f'|truncate(7) }}{{ 2.5|round }}"
                    "{{ 2.567|round(2) }}{{ '-0.5'|float|round(method='ceil') }}{{ 'abc'|reverse }}{{ {'b': 1, 'A': 2}|dictsort(by='value') }}"
                    "{{ ' 1_0 '|int }}{{ '0x1f'|int(base=16) }}{{ 'x'|int(7) }}{{ '1e3'|int }}{{ 'nan'|float }}{{ '\u03a3\u03a3'|lower }}",
    "tojson-more": "{% set v = {'b': [1, 'é\u2028'], 'a': {1: none, true: 1.0}} %}{{ v|tojson }}{{ v|tojson(ensure_ascii=true) }}"
                   "{{ v|tojson(separators=(',', ':')) }}{{ v|tojson(indent=1) }}{{ {'b': 1, 'a': 1e16}|tojson(sort_keys=true) }}"
                   "{{ [1]|tojson(indent='--') }}{{ v|tojson|safe }}{{ '<'|escape }}",
    "methods": "{{ '{} {x:>4} {!r}'.format('a', 'b', x=1) if true }}{{ '{:05.1f}|{:,}|{:^5}|{{}}'.format(2.25, 12345, 'a') }}"
               "{{ '%s %5d %-4s| %.2f %%' % ('a', 3, 'b', 1.005) }}{{ '%(a)s' % {'a': 1} }}{{ '%r'|format('q') }}"
               "{{ 'a,b,c'.rsplit(',', 1) }}{{ 'a b'.partition(' ') }}{{ 'x'.removeprefix('x') }}{{ 'abcabc'.rfind('b') }}"
               "{{ 'a\\r\\nb\\x0bc'.splitlines() }}{{ 'abc'.startswith(('x', 'ab')) }}{{ '12'.isdigit() }}{{ '7'.zfill(3) }}"
               "{{ 'ab'.replace('', '-') }}{{ 'aAb'.swapcase() }}{{ [1, 2, 1].count(1) }}{{ {'a': 1}.get('b', 2) }}",
    "dictionaries": "{% set d = {1: 'one', 'items': 'own', true: 'yes', none: 0} %}{{ d }}{{ d[1] }}{{ d['items'] }}{{ d.items is callable }}"
                    "{{ d[none] }}{{ dict(b=1, a=2) }}{{ dict([('x', 1)], y=2) }}{{ 'a' in {'a': 1} }}{{ {'a': [1, (2,)]} == {'a': [1, (2,)]} }}",
    "numbers": "{{ 1e3 }} {{ 1_000 }} {{ 0x1F }} {% set n = 3 %}{{ -n ** 2 }} {{ 2 ** 3 ** 2 }} {{ 2 ** -1 }} {{ 7.5 // -2 }} {{ -7.5 % 2 }} "
               "{{ 1e16 }} {{ 123456789012345680.0 }} {{ 1e-5 }} {{ 0.1 + 0.2 }} {{ 3 > 2 > 1 }} {{ 1 < 2 == true }} {{ true + 1 }} {{ 5 / 1 }} "
               "{{ 1.0 == 1 }} {{ 'a' < 'b' <= 'c' }} {{ -5|abs }} {{ 1 if none }} {{ 'a' 'b' }} {{ [1, 2] < [1, 3] }} {{ '\\x41\\u00e9\\101\\q' }}",
}

CONVERSATIONS = [
    [("user", "Hi ")],
    [("system", " Be brief. "), ("user", "What is 2+2?")],
    [("user", "a"), ("assistant", "<t>\nhm\n</t>\n\nb"), ("user", "<r>c</r>"), ("assistant", "d"),
     ("user", "e <|im_end|> \u00e9\u4e2d\U0001f600")],
]


def main():
    templates = TEMPLATES
    if len(sys.argv) > 1:
        templates = {path.stem: path.read_text() for path in sorted(pathlib.Path(sys.argv[1]).glob("*.jinja"))}
    cases = []
    for name, source in templates.items():
        template = environment().from_string(source)
        for conversation in CONVERSATIONS:
            for flags in ({}, {"enable_thinking": False}):
                messages = [{"role": role, "content": content} for role, content in conversation]
                try:
                    text = template.render(messages=messages, add_generation_prompt=True,
                                           bos_token="<bos>", eos_token="<eos>", tools=None,
                                           documents=None, **flags)
                except TemplateError as error:
                    text = None
                    refusal = str(error)
                case = {"name": name, "template": source, "messages": messages, "flags": flags,
                        "text": text}
                if text is None:
                    case["refusal"] = refusal
                cases.append(case)
    json.dump(cases, sys.stdout, ensure_ascii=False, indent=1)


if __name__ == "__main__":
    main()
