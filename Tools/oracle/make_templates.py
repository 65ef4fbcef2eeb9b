"""Renders chat templates with Jinja2 as Hugging Face transformers does, for the tests.

    python3 Tools/oracle/make_templates.py > Tests/ChatTemplatesTests/Resources/templates.json
    python3 Tools/oracle/make_templates.py DIRECTORY_OF_JINJA_FILES > real.json
    TESSERA_TEMPLATES=real.json swift test --filter ChatTemplateTests

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
