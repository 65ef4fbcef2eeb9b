#!/usr/bin/env python3
"""How much sooner a second process gives its first token, with a long system message.

    Benchmarks/prompt-cache/measure.py MODEL.tsr [--rules 95] [--runs 5] [--program PROGRAM] [--options "--ram 3G"]

Runs alternate: without a prompt cache, and with one that an earlier process has filled with another question. Medians of
the time from the start of the process to the first token, and of reading the prompt alone. 95 rules are about 2000 tokens.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time


def system(rules):
    return " ".join(f"Rule {index}: where somebody asks about topic {index}, answer in {index % 7 + 1} short sentences."
                    for index in range(rules))


def run(options, question, *more):
    """(seconds to the first token from the start of the process, of the prompt alone, tokens of the prompt, text)"""
    begin = time.monotonic()
    rules = system(options.rules)
    text = ["-p", f"{rules}\n{question}"] if options.plain else ["--chat", "--system", rules, "-p", question]
    process = subprocess.Popen(
        [options.program, "generate", options.model, *text, "-n", "8", "--temp", "0", "--jsonl", *options.options.split(), *more],
        stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    first = time.monotonic() - begin
    end = json.loads(process.communicate()[0].splitlines()[-1])
    return first, end["time_to_first_token_seconds"], end["prompt_tokens"], end["text"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--rules", type=int, default=95, help="sentences of the system message")
    parser.add_argument("--plain", action="store_true", help="without a chat template, which synthetic models lack")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--program", default=".build/release/tessera")
    parser.add_argument("--options", default="", help="for generate, such as '--ram 3G'")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(options, "What are the rules about?", "--prompt-cache", folder)
        size = sum(entry.stat().st_size for entry in os.scandir(folder))
        plain, cached = [], []
        for index in range(options.runs):
            question = f"What is said about topic {index}?"
            plain.append(run(options, question))
            cached.append(run(options, question, "--prompt-cache", folder))
            assert plain[-1][3] == cached[-1][3], "another text"
        for name, column in [("start of the process to first token", 0), ("prompt to first token", 1)]:
            without, with_cache = (statistics.median(row[column] for row in rows) for rows in (plain, cached))
            print(f"{name}: {without:.3f} s without, {with_cache:.3f} s with a cache: {without / with_cache:.1f} times sooner")
        print(f"prompt of {plain[0][2]} tokens, file of {size / 1e6:.1f} MB, medians of {options.runs} alternating runs")


if __name__ == "__main__":
    main()
