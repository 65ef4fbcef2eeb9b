"""How much sooner a second process gives its first token, with a system message of about 2000 tokens.

    Benchmarks/prompt-cache/measure.py MODEL.tsr [PROGRAM] [RUNS]

Runs alternate: without a prompt cache, and with one that an earlier process has filled with another question. Medians of
the time from the start of the process to the first token, and of reading the prompt alone.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

MODEL = sys.argv[1]
PROGRAM = sys.argv[2] if len(sys.argv) > 2 else ".build/release/tessera"
RUNS = int(sys.argv[3]) if len(sys.argv) > 3 else 5
SYSTEM = " ".join(f"Rule {index}: where somebody asks about topic {index}, answer in {index % 7 + 1} short sentences."
                  for index in range(95))


def run(question, *options):
    """(seconds to the first token from the start of the process, of the prompt alone, tokens of the prompt, text)"""
    begin = time.monotonic()
    process = subprocess.Popen(
        [PROGRAM, "generate", MODEL, "--chat", "--system", SYSTEM, "-p", question, "-n", "8", "--temp", "0", "--jsonl", *options],
        stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    first = time.monotonic() - begin
    end = json.loads(process.communicate()[0].splitlines()[-1])
    return first, end["time_to_first_token_seconds"], end["prompt_tokens"], end["text"]


def main():
    with tempfile.TemporaryDirectory() as folder:
        run("What are the rules about?", "--prompt-cache", folder)
        size = sum(entry.stat().st_size for entry in os.scandir(folder))
        plain, cached = [], []
        for index in range(RUNS):
            question = f"What is said about topic {index}?"
            plain.append(run(question))
            cached.append(run(question, "--prompt-cache", folder))
            assert plain[-1][3] == cached[-1][3], "another text"
        for name, column in [("start of the process to first token", 0), ("prompt to first token", 1)]:
            without, with_cache = (statistics.median(row[column] for row in rows) for rows in (plain, cached))
            print(f"{name}: {without:.3f} s without, {with_cache:.3f} s with a cache: {without / with_cache:.1f} times sooner")
        print(f"prompt of {plain[0][2]} tokens, file of {size / 1e6:.1f} MB, medians of {RUNS} alternating runs")


if __name__ == "__main__":
    main()
