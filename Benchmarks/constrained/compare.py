#!/usr/bin/env python3
"""What a schema costs per token: passes with and without one take turns, in one run.

    python3 Benchmarks/constrained/compare.py MODEL.tsr [--program PROGRAM] [--rounds 5] [--tokens 200]

Each process gives as many tokens, one per pass, without drafts. A round is one process without a schema and one with
each of the schemas below; printed is the median over rounds of the time of a pass, with its sampling, to that of the same
round without a schema. Reading the schema and the vocabulary comes before the first token and is a column of its own.
"""

import argparse
import json
import statistics
import subprocess
import tempfile


def people(**members):
    """A list of objects that is longer than any answer here."""
    return {"type": "array", "minItems": 100, "items": {
        "type": "object", "properties": members, "required": list(members), "additionalProperties": False}}


def text(**limits):
    return {"type": "string", **limits}


SCHEMAS = {
    "strings of up to 40, 60 and 200": people(
        name=text(maxLength=40), city=text(maxLength=60), about=text(maxLength=200), age={"type": "integer"}),
    "strings of up to 8, 12 and 16": people(
        name=text(maxLength=8), city=text(maxLength=12), about=text(maxLength=16), age={"type": "integer"}),
    "strings of 5 to 30, 20 to 90": people(name=text(minLength=5, maxLength=30), about=text(minLength=20, maxLength=90)),
    "strings without limits": people(name=text(), city=text(), about=text()),
    "patterns, formats, choices": people(
        id=text(pattern="^[A-Z]{2,6}-[0-9]{4,8}$"), day=text(format="date"), mail=text(format="email"),
        kind={"enum": ["river", "city", "mountain"]}, size={"type": "number"}),
}
PROMPT = "List people with their cities and say something about each."


def run(options, tokens, schema=None, seed=1):
    """(seconds of a pass, seconds before the first token)"""
    command = [options.program, "generate", options.model, "--chat", "-p", PROMPT, "-n", str(tokens), "--temp", "0.8", "--seed",
               str(seed), "--draft", "off", "--ignore-end", "--json", *options.options.split()]
    answer = json.loads(subprocess.run(
        command + (["--json-schema", schema] if schema else []), capture_output=True, text=True, check=True).stdout)
    assert answer["generated_tokens"] == tokens == answer["forward_passes"], answer
    return answer["decode_seconds"] / (tokens - 1), answer["load_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--program", default=".build/release/tessera")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--options", default="", help="for generate, such as '-t 1'")
    options = parser.parse_args()

    ratios = {name: [] for name in SCHEMAS}
    times = {name: [] for name in ["none", *SCHEMAS]}
    loads = {name: [] for name in ["none", *SCHEMAS]}
    with tempfile.TemporaryDirectory() as folder:
        paths = {}
        for index, (name, schema) in enumerate(SCHEMAS.items()):
            paths[name] = f"{folder}/{index}.json"
            with open(paths[name], "w") as file:
                json.dump(schema, file)
        for seed in range(1, options.rounds + 1):
            plain, load = run(options, options.tokens, seed=seed)
            times["none"].append(plain)
            loads["none"].append(load)
            for name in SCHEMAS:
                seconds, load = run(options, options.tokens, paths[name], seed)
                ratios[name].append(seconds / plain)
                times[name].append(seconds)
                loads[name].append(load)
    print("| schema | ms per pass | times that without | least | most | s before the prompt |\n|---|--:|--:|--:|--:|--:|")
    for name in ["none", *SCHEMAS]:
        found = ratios.get(name, [1])
        print(f"| {name} | {1e3 * statistics.median(times[name]):.2f} | {statistics.median(found):.3f} | {min(found):.3f} "
              f"| {max(found):.3f} | {statistics.median(loads[name]):.2f} |")


if __name__ == "__main__":
    main()
