"""Passes with less memory than the model: Tessera and llama.cpp in turn under the same memory limit.

    python3 Benchmarks/low-memory/compare.py --model NAME llama-8b.tsr [--model NAME FILE] \\
        --llama-bench DIR/bin/llama-bench --gguf llama-8b-Q4_0.gguf --json OUT.json --svg OUT.svg

For every limit a control group (version 1 or 2; needs root or a delegated group) is made, the files are
dropped from the page cache, and each program times passes over 1 and 16 positions. Before and after
each of our runs the disk's own rate is taken, so that drift shows. llama.cpp runs with its weights
mapped and not repacked: repacked, they are anonymous memory that no limit below their size leaves room for.

Tokens per second follow from passes: one token per pass for next-token prediction, and
--tokens-per-pass for a pass over 16 positions (8 drafted, up to 8 checked). Random weights accept no
draft: 4.8 is what the word-problem model decodes losslessly in blocks of 8 (Benchmarks/sbd).
"""

import argparse
import json
import os
import statistics
import sys

from disk_rate import read_rate
from memory_group import MemoryGroup, Unavailable, forget
from report import plot, table

GIB = 1 << 30


def result(run, seconds_by_positions):
    """The record of a run: its figures, or the reason why it failed."""
    kept = {key: run[key] for key in ("status", "seconds", "bytes_read", "major_faults",
                                      "peak_rss_bytes", "peak_bytes", "oom_kills", "swapped_bytes")}
    kept["passes"] = {
        str(positions): {"seconds": seconds, "median_seconds": statistics.median(seconds),
                         "passes_per_second": 1 / statistics.median(seconds)}
        for positions, seconds in seconds_by_positions.items() if seconds}
    if run["status"] != 0 or not kept["passes"]:
        lines = run["stderr"].strip().splitlines()
        kept["error"] = ("too slow" if run["timed_out"] else "killed for memory" if run["oom_kills"]
                         else lines[-1] if lines else f"status {run['status']}")
    return kept


def tessera(arguments, path, limit):
    """One run for all sizes: they take turns."""
    command = [arguments.tessera, "profile", path, "--passes", ",".join(arguments.positions),
               "--repetitions", str(arguments.repetitions), "--logits", "last", "--context", "0",
               "--ctx", str(arguments.ctx), "--io", arguments.io, "--json"]
    if arguments.threads:
        command += ["--threads", str(arguments.threads)]
    forget(path)
    before, direct = read_rate(path, arguments.disk_seconds)
    with MemoryGroup(limit) as group:
        run = group.run(command, timeout=arguments.timeout)
    after, _ = read_rate(path, arguments.disk_seconds)
    seconds, plan = {}, {}
    if run["status"] == 0:
        report = json.loads(run["stdout"])
        seconds = {row["positions"]: [ns * 1e-9 for ns in row["samples_ns"]]
                   for row in report["passes"]}
        memory = report["memory"]
        plan = {"hot_bytes": memory["hot_bytes"], "streamed_bytes": memory["cold_bytes"],
                "cache_bytes": memory["kv_bytes"], "io": report["io_method"]}
    kept = result(run, seconds)
    kept.update(program="tessera", plan=plan, disk_bytes_per_second=[before, after],
                disk_direct=direct, notes=run["stderr"].strip())
    for row in kept["passes"].values():
        row["read_bytes_per_second"] = plan.get("streamed_bytes", 0) / row["median_seconds"]
    return kept


def llama(arguments, limit):
    command = [arguments.llama_bench, "-m", arguments.gguf, "-p", ",".join(arguments.positions),
               "-n", "0", "-r", str(arguments.llama_repetitions), "--repack", "0", "-lm", "mmap",
               "-fa", "1", "-o", "jsonl"]
    if arguments.threads:
        command += ["-t", str(arguments.threads)]
    forget(arguments.gguf)
    with MemoryGroup(limit) as group:
        run = group.run(command, timeout=arguments.timeout)
    seconds = {}
    for line in run["stdout"].splitlines():
        if line.startswith("{"):
            row = json.loads(line)
            seconds[row["n_prompt"]] = [ns * 1e-9 for ns in row["samples_ns"]]
    return result(run, seconds) | {"program": "llama.cpp"}


def measure(arguments):
    rows = []
    for gigabytes in arguments.limits:
        limit = int(gigabytes * GIB)
        runs = [(name, path) for name, path in arguments.model]
        for name, path in runs:
            print(f"{gigabytes:g} GiB: tessera, {name}", file=sys.stderr)
            rows.append({"limit_bytes": limit, "model": name, "file_bytes": os.path.getsize(path)}
                        | tessera(arguments, path, limit))
        if arguments.llama_bench:
            print(f"{gigabytes:g} GiB: llama.cpp", file=sys.stderr)
            rows.append({"limit_bytes": limit, "model": "Q4_0, mapped",
                         "file_bytes": os.path.getsize(arguments.gguf)}
                        | llama(arguments, limit))
    return rows


def parse():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tessera", default=".build/release/tessera")
    parser.add_argument("--model", nargs=2, action="append", metavar=("NAME", "TSR"), default=[])
    parser.add_argument("--llama-bench")
    parser.add_argument("--gguf")
    parser.add_argument("--limits", type=lambda s: [float(x) for x in s.split(",")],
                        default=[6, 4, 3, 2, 1.5], help="GiB")
    parser.add_argument("--positions", type=lambda s: s.split(","), default=["1", "16"])
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--llama-repetitions", type=int, default=2)
    parser.add_argument("--tokens-per-pass", type=float, default=4.8)
    parser.add_argument("--ctx", type=int, default=1024, help="positions of our cache")
    parser.add_argument("--io", default="auto")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--timeout", type=float, default=300, help="seconds for a program")
    parser.add_argument("--disk-seconds", type=float, default=1.5)
    parser.add_argument("--json", help="write all figures to this file")
    parser.add_argument("--svg", help="write a plot to this file")
    parser.add_argument("--from", dest="saved", nargs="+",
                        help="measure nothing: table and plot of JSON files, joined")
    arguments = parser.parse_args()
    if not arguments.saved and not arguments.model:
        parser.error("give --model NAME FILE, or --from FILE")
    if arguments.llama_bench and not arguments.gguf:
        parser.error("--llama-bench needs --gguf")
    return arguments


def main():
    arguments = parse()
    if arguments.saved:
        rows = []
        for path in arguments.saved:
            with open(path) as file:
                rows += json.load(file)["rows"]
    else:
        try:
            rows = measure(arguments)
        except Unavailable as error:
            print(f"low-memory: {error}", file=sys.stderr)
            sys.exit(69)
    if arguments.json:
        document = {"schema_version": 1, "tokens_per_pass": arguments.tokens_per_pass,
                    "rows": rows}
        with open(arguments.json + ".partial", "w") as file:
            json.dump(document, file, indent=1)
        os.replace(arguments.json + ".partial", arguments.json)
    print(table(rows, arguments.tokens_per_pass))
    if arguments.svg:
        with open(arguments.svg, "w") as file:
            file.write(plot(rows))


if __name__ == "__main__":
    main()
