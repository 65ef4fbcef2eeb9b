"""Is `--block-size auto` as fast as the best fixed size? Ratios of tokens per second, in lossless and in gamma mode.

    python3 Benchmarks/sbd/auto.py sbd.tsr models/smollm2-135m.tsr

A model without a mask token decodes single tokens; there auto must cost nothing. Questions are held-out word problems;
`--limit` cuts the answers of models that were not made for them. auto learns anew in every process. "To the best fixed": the median of the chunks' own ratios, with its 95 % interval; `--chunk 1` gives
each answer a process of its own.
"""
import argparse
import os
import statistics

import runner
from runner import Cell

MODES = [("lossless", ["--verify"]), ("gamma", ["--gamma"])]


def cells_of(path: str, sizes: list[int], gamma: float, has_masks: bool) -> list[Cell]:
    """Single tokens, every fixed size and auto, in both modes."""
    result = [Cell(path, path, "k=1", ["--block-size", "1"])]
    for mode, options in MODES:
        options = options + ([f"{gamma:g}"] if mode == "gamma" else [])
        for size in [*(s for s in sizes if has_masks and s > 1), "auto"]:
            result.append(Cell(path, path, f"{mode}, {size}", ["--block-size", str(size), *options]))
    return result


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+", metavar="FILE.tsr")
    p.add_argument("--tessera", default=runner.TESSERA)
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--chunk", type=int, default=10, help="questions that one process answers")
    p.add_argument("--seed", type=int, default=7)
    p.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    p.add_argument("--gamma", type=float, default=0.1)
    p.add_argument("--limit", type=int, default=160, help="most tokens of an answer")
    p.add_argument("--options", default="", help="further options of all runs; '--ram 22800K --io direct' has the default "
                   "model's weights read from disk in every pass")
    args = p.parse_args()
    questions = [t.question for t in runner.problems(args.count, args.seed)]
    print("| model | mode | decoding | tokens per pass | tokens/s | to k=1 | to the best fixed |\n|---|---|---|--:|--:|--:|--:|")
    for path in args.models:
        try:
            runner.run(args.tessera, path, ["Hi"], ["--chat", "--block-size", "2"], "/nonexistent", 2)
            has_masks = True
        except SystemExit:
            has_masks = False
        cells = cells_of(path, args.sizes, args.gamma, has_masks)
        options = ["--chat", *args.options.split()]
        runner.run_all(args.tessera, cells, questions, args.chunk, options, args.limit)
        for mode, _ in MODES:
            mine = [c for c in cells if c.decoding == "k=1" or c.decoding.startswith(mode)]
            best = max((c for c in mine if "auto" not in c.decoding), key=lambda c: runner.pace(c, cells[0])[1])
            for c in mine:
                rate, ratio = runner.pace(c, cells[0])
                ratios = runner.ratios(c, best, cells[0])
                low, high = runner.median_interval(ratios)
                print(f"| {os.path.basename(path)} | {mode} | {c.decoding.split(', ')[-1]} | {runner.per_pass(c):.2f} "
                      f"| {rate:.0f} | {ratio:.2f}x | {statistics.median(ratios):.3f} ({low:.3f}-{high:.3f}) |", flush=True)


if __name__ == "__main__":
    main()
