"""Times forward passes of Tessera and llama.cpp in turn, on the same shapes, and prints the ratios.

    python3 Benchmarks/peers/compare.py --tessera .build/release/tessera --llama-bench DIR/bin/llama-bench \
        --pair SmolLM2-135M models/smollm2-135m.tsr smollm2.gguf [--pair ...] [--rounds 5] [--json OUT]

Each round runs both programs once; a figure is the median over the rounds and a ratio is the median
of the rounds' own ratios, so a machine that drifts does not favour either side. A pass over m
positions computes the logits of its last position on both sides; `decode` is one position at a time.
"""

import argparse
import json
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


def llama(program, model, positions, repetitions, threads):
    """Tokens per second by positions per pass, and under 0 the one-at-a-time decode."""
    command = [program, "-m", model, "-p", ",".join(map(str, positions)), "-n", "32",
               "-r", str(repetitions), "-fa", "1", "-o", "json"]
    if threads:
        command += ["-t", str(threads)]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {row["n_prompt"]: statistics.median(row["samples_ts"]) for row in rows}


def compare(pair, arguments):
    name, ours, theirs = pair
    rounds = []
    for index in range(arguments.rounds):
        print(f"{name}: round {index + 1} of {arguments.rounds}", file=sys.stderr)
        us = tessera(arguments.tessera, ours, arguments.positions, arguments.repetitions,
                     arguments.threads)
        peer = llama(arguments.llama_bench, theirs, arguments.positions, arguments.repetitions,
                     arguments.threads)
        peer[1] = max(peer.get(0, 0), peer.get(1, 0))  # its better single-position figure
        rounds.append((us, peer))
    rows = []
    for count in arguments.positions:
        rows.append({
            "model": name,
            "positions": count,
            "tessera_tokens_per_second": statistics.median(us[count] for us, _ in rounds),
            "llama_cpp_tokens_per_second": statistics.median(peer[count] for _, peer in rounds),
            "ratio": statistics.median(us[count] / peer[count] for us, peer in rounds),
            "ratio_range": [min(us[count] / peer[count] for us, peer in rounds),
                            max(us[count] / peer[count] for us, peer in rounds)],
        })
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tessera", default=".build/release/tessera")
    parser.add_argument("--llama-bench", required=True)
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
    print("| model | positions | tessera tok/s | llama.cpp tok/s | ratio | range |")
    print("|---|--:|--:|--:|--:|---|")
    for row in rows:
        low, high = row["ratio_range"]
        print(f"| {row['model']} | {row['positions']} | {row['tessera_tokens_per_second']:.1f} | "
              f"{row['llama_cpp_tokens_per_second']:.1f} | {row['ratio']:.2f} | "
              f"{low:.2f}-{high:.2f} |")
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
