#!/usr/bin/env python3
"""What a schema costs per token: passes with and without one take turns, in one run.

    python3 Benchmarks/constrained/compare.py MODEL.tsr [--program PROGRAM] [--rounds 5] [--tokens 200]

Each process gives as many tokens, one per pass, without drafts; it says itself how much of its time is sampling, the
grammar's work included, and how much is the model's. Both are of one process, so that other work on the machine hardly
changes their ratio. A round is one process without a schema and one with each of the schemas below; printed are medians
over rounds, in percent of the model's time, and what is more than in the same round without a schema.
"""

import argparse
import json
import re
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


def run(options, schema=None, seed=1):
    """Sampling and text, in percent of the model's time."""
    command = [options.program, "generate", options.model, "--chat", "-p", PROMPT, "-n", str(options.tokens), "--temp", "0.8",
               "--seed", str(seed), "--draft", "off", "--ignore-end", "--json", "--timings", *options.options.split()]
    done = subprocess.run(command + (["--json-schema", schema] if schema else []), capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["generated_tokens"] == options.tokens == answer["forward_passes"], answer
    share = float(re.search(r"sampling and text [^(]*\(([0-9.]+)%\)", done.stderr).group(1))
    return 100 * share / (100 - share)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--program", default=".build/release/tessera")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--options", default="", help="for generate")
    options = parser.parse_args()

    shares = {name: [] for name in ["none", *SCHEMAS]}
    with tempfile.TemporaryDirectory() as folder:
        paths = {"none": None}
        for index, (name, schema) in enumerate(SCHEMAS.items()):
            paths[name] = f"{folder}/{index}.json"
            with open(paths[name], "w") as file:
                json.dump(schema, file)
        for seed in range(1, options.rounds + 1):
            for name, path in paths.items():
                shares[name].append(run(options, path, seed))
    print("| schema | sampling, of the model's time | more than without |\n|---|--:|--:|")
    for name, found in shares.items():
        more = statistics.median(one - none for one, none in zip(found, shares["none"]))
        print(f"| {name} | {statistics.median(found):.1f} % | {more:.1f} % |")


if __name__ == "__main__":
    main()
