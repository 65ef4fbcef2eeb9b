"""Renders random templates with Jinja2 and with Tessera and reports where they differ.

    Tools/swift build --product render-templates
    python3 Tools/oracle/check_templates.py [--count 2000] [--seed 1] [--refused] [--program PATH]

Where both give a text, it must be the same; and what a user wrote must stay marked as such. A template
that only one of the two accepts is no difference: `--refused` counts what Tessera refuses.
"""

import argparse
import collections
import glob
import json
import os
import re
import subprocess
import sys
import warnings

from jinja2.exceptions import TemplateError

from random_templates import Grammar
from template_environment import environment

LINES = 200


def rendered(source, variables):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return environment().from_string(source).render(tools=None, documents=None, **variables)
    except Exception:
        return None


def answers(program, cases):
    """What Tessera makes of each case; None where the program ended."""
    lines = "".join(json.dumps({"template": source, "variables": variables}) + "\n" for source, variables in cases)
    try:
        run = subprocess.run([program], input=lines, capture_output=True, text=True, timeout=600)
        out = run.stdout.split("\n")[:-1]
    except subprocess.TimeoutExpired as error:
        out = (error.stdout or b"").decode().split("\n")[:-1]
    return [json.loads(line) for line in out] + [None] * (len(cases) - len(out))


def comparable(text):
    """Without what no one can compare: addresses, and characters JSON cannot carry."""
    return text is not None and not re.search(r" at 0x[0-9a-f]+|<(function|Macro|bound|built-in|generator|Namespace|Loop)", text) \
        and not any(0xd800 <= ord(c) < 0xe000 for c in text)


CALL = {"type": "function", "function": {"name": "add", "arguments": {"n": 5, "unit": "pens \u00e9"}}}
PARAMETERS = {"type": "object", "properties": {"n": {"type": "integer"}, "unit": {"type": ["string", "null"]},
                                               "all": {"type": "array", "items": {"type": "number"}}}, "required": ["n"]}
TOOLS = [{"type": "function", "function": {"name": name, "description": "It's <one>", "parameters": PARAMETERS}} for name in ("add", "take")]


def conversations():
    """With functions and without, from a first question to a second answer."""
    start = [{"role": "system", "content": " Be brief. "}, {"role": "user", "content": "What is <7> + 5?\n"}]
    called = start + [{"role": "assistant", "content": "", "tool_calls": [CALL]}, {"role": "tool", "content": "12"}]
    done = called + [{"role": "assistant", "content": "<think>\nEasy.\n</think>\n\nTwelve."}, {"role": "user", "content": "And now?"}]
    for messages in (start[1:], start, called, done, called[:-1] + called[-1:] * 2,
                     start + [{"role": "assistant", "content": "Two:", "tool_calls": [CALL, CALL]}, called[-1]]):
        for tools in (None, TOOLS):
            for more in ({}, {"enable_thinking": False}):
                yield {"messages": messages, "tools": tools, "add_generation_prompt": True, "bos_token": "<s>", **more}


def check_own(program):
    """Templates with the structure of published ones: what Jinja2 makes or refuses, Tessera does. Returns how many differ."""
    cases = []
    for path in sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../templates/*.jinja"))):
        with open(path) as file:
            source = file.read()
        cases += [(source, variables) for variables in conversations()]
    assert cases, "no templates"
    bad = 0
    for (source, variables), answer in zip(cases, answers(program, cases)):
        try:
            expected = environment().from_string(source).render(**variables)
        except TemplateError:
            expected = None
        if answer is None or answer.get("text") != expected:
            bad += 1
            print("DIFFERS:", source[:60], json.dumps(variables)[:400])
            print("  jinja2 :", json.dumps(expected, ensure_ascii=False))
            print("  tessera:", json.dumps(answer, ensure_ascii=False))
    print(f"{len(cases)} prompts of templates with the structure of published ones, {bad} differences")
    return bad


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--refused", action="store_true")
    parser.add_argument("--program", default=".build/debug/render-templates")
    options = parser.parse_args()
    refusals = collections.Counter()
    both, differences = 0, check_own(options.program)
    for begin in range(0, options.count, LINES):
        cases = []
        for number in range(begin, min(begin + LINES, options.count)):
            grammar = Grammar(f"{options.seed}-{number}")
            cases.append((grammar.template(), grammar.variables()))
        ends = False
        for (source, variables), answer in zip(cases, answers(options.program, cases)):
            if answer is None:
                if not ends:
                    print("CRASHES OR HANGS:", json.dumps({"template": source, "variables": variables}))
                    differences += 1
                ends = True
                continue
            expected = rendered(source, variables)
            if not comparable(expected):
                continue
            if "text" not in answer:
                refusals[re.sub(r"line \d+", "line", answer["error"])] += 1
                continue
            both += 1
            if answer["text"] != expected:
                differences += 1
                print("DIFFERS:", json.dumps({"template": source, "variables": variables}))
                print("  jinja2 :", json.dumps(expected, ensure_ascii=False)[:300])
                print("  tessera:", json.dumps(answer["text"], ensure_ascii=False)[:300])
    print(f"{options.count} templates, {both} rendered by both, {sum(refusals.values())} by jinja2 only, "
          f"{differences} differences")
    if options.refused:
        for reason, count in refusals.most_common(60):
            print(f"{count:6} {reason}")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
