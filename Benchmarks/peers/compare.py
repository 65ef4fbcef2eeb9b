"""Times forward passes of Tessera and its peers in turn, on the same shapes, and prints the ratios.

    python3 Benchmarks/peers/compare.py --tessera .build/release/tessera \
        --peer llama.cpp=DIR/bin/llama-bench [--peer "ik_llama.cpp=DIR/bin/llama-bench -rtr 1"] \
        --pair SmolLM2-135M models/smollm2-135m.tsr smollm2.gguf [--pair ...] [--rounds 5] [--json OUT]

A peer is a name and a program with llama-bench's options and output. Each round runs every program
once; a figure is the median over the rounds and a ratio is the median
of the rounds' own ratios, so a machine that drifts does not favour any side. A pass over m
positions computes the logits of its last position on every side. For one position the better of a peer's two figures counts,
its pass and its decoding.
"""

import argparse
import json
import shlex
import statistics
import subprocess
import sys


def tessera(program, model, positions, repetitions, threads):
    """Tokens per second by positions per pass."""
    command = [program, "profile", model, "--passes", ",".join(map(str, positions)),
               "--context", "0", "--logits", "last", "--repetitions", str(repetitions), "--json"]
    if threads:
        command += ["--threads", str(threads)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {row["positions"]: row["positions"] / row["median_seconds"] for row in report["passes"]}


def peer(program, model, positions, repetitions, threads):
    """Tokens per second by positions per pass; `program` with its arguments."""
    command = [*program, "-m", model, "-p", ",".join(map(str, positions)), "-n", "32",
               "-r", str(repetitions), "-fa", "1", "-o", "json"]
    if threads:
        command += ["-t", str(threads)]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    speeds = {row["n_prompt"]: statistics.median(row["samples_ts"]) for row in rows}
    speeds[1] = max(speeds.get(1, 0), speeds.pop(0))  # `n_prompt` 0 is decoding
    return speeds


def compare(pair, arguments):
    """One row for each peer and number of positions."""
    model, ours, theirs = pair
    settings = (arguments.positions, arguments.repetitions, arguments.threads)
    rounds = []
    for index in range(arguments.rounds):
        print(f"{model}: round {index + 1} of {arguments.rounds}", file=sys.stderr)
        us = tessera(arguments.tessera, ours, *settings)
        rounds.append((us, {name: peer(program, theirs, *settings)
                            for name, program in arguments.peer}))
    rows = []
    for name, _ in arguments.peer:
        for count in arguments.positions:
            ratios = [us[count] / them[name][count] for us, them in rounds]
            rows.append({
                "model": model,
                "peer": name,
                "positions": count,
                "tessera_tokens_per_second": statistics.median(us[count] for us, _ in rounds),
                "peer_tokens_per_second":
                    statistics.median(them[name][count] for _, them in rounds),
                "ratio": statistics.median(ratios),
                "ratio_range": [min(ratios), max(ratios)],
            })
    return rows


def named_program(text):
    """`NAME=PROGRAM [ARGUMENT ...]`."""
    name, _, command = text.partition("=")
    if not command:
        raise argparse.ArgumentTypeError(f"{text!r}: give NAME=PROGRAM")
    return name, shlex.split(command)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tessera", default=".build/release/tessera")
    parser.add_argument("--peer", type=named_program, action="append", required=True,
                        metavar="NAME=PROGRAM")
    parser.add_argument("--pair", nargs=3, action="append", required=True,
                        metavar=("NAME", "TSR", "GGUF"))
    parser.add_argument("--positions", type=lambda s: [int(x) for x in s.split(",")],
                        default=[1, 2, 4, 8, 16, 32, 128])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", help="also write the rows to this file")
    arguments = parser.parse_args()
    rows = [row for pair in arguments.pair for row in compare(pair, arguments)]
    print("| model | peer | positions | tessera tok/s | peer tok/s | ratio | range |")
    print("|---|---|--:|--:|--:|--:|---|")
    for row in rows:
        low, high = row["ratio_range"]
        print(f"| {row['model']} | {row['peer']} | {row['positions']} | "
              f"{row['tessera_tokens_per_second']:.1f} | "
              f"{row['peer_tokens_per_second']:.1f} | {row['ratio']:.2f} | "
              f"{low:.2f}-{high:.2f} |")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
