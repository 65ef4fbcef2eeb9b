#!/usr/bin/env python3
"""Compares texts that are answered in common passes with texts that are answered one after the other.

Both ways take turns; each round is a process of its own, and its time is that from the loaded model to
the end. The texts of both have to be the same.

    python3 Benchmarks/parallel/compare.py model.tsr
    python3 Benchmarks/parallel/compare.py model.tsr --options "--ram 3G" --parallel 16 32 --tokens 16
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time

THINGS = ["a lighthouse", "bread", "the moon", "a river", "chess", "a clock", "winter", "glass", "a bridge", "tea",
          "a violin", "salt", "a forest", "paper", "the wind", "a harbour"]


def prompts(count):
    """Short prompts, because decoding is compared."""
    return [THINGS[i % len(THINGS)] + "!" * (i // len(THINGS)) for i in range(count)]


def run(program, model, path, parallel, arguments):
    """Seconds after loading, and the ids of all texts."""
    command = [program, "generate", model, "--batch", path, "--parallel", str(parallel), *arguments]
    begin = time.monotonic()
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.monotonic() - begin
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    return seconds - answers[0]["load_seconds"], [answer["token_ids"] for answer in answers]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--program", default=".build/release/tessera")
    parser.add_argument("--lines", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--parallel", type=int, nargs="+", default=[16])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--options", default="", help="for generate, such as '--ram 3G'")
    options = parser.parse_args()

    arguments = ["-n", str(options.tokens), "--temp", "0", "--ignore-end", "--draft", "off", *options.options.split()]
    ways = [1, *options.parallel]
    seconds = {way: [] for way in ways}
    texts = {}
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(prompts(options.lines)))
        file.flush()
        for _ in range(options.rounds):
            for way in ways:
                time_taken, ids = run(options.program, options.model, file.name, way, arguments)
                seconds[way].append(time_taken)
                if texts.setdefault("ids", ids) != ids:
                    raise SystemExit(f"--parallel {way}: other texts than one after the other")
    tokens = options.lines * options.tokens
    print("| at a time | seconds | tokens/s | times one after the other |")
    print("|---|---|---|---|")
    for way in ways:
        taken = statistics.median(seconds[way])
        ratio = statistics.median(a / b for a, b in zip(seconds[1], seconds[way]))
        print(f"| {way} | {taken:.1f} | {tokens / taken:.1f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
