"""What fewer bits change in block decoding: the same forced blocks through several weight files.

    python3 Benchmarks/sbd/quantization.py
    python3 Benchmarks/sbd/quantization.py mine-f32.tsr mine-int8.tsr mine-int4.tsr

The first file is the reference; without files, Benchmarks/sbd/models/sbd in 32, 8 and 4 bits. Worked solutions of
held-out problems are cut at random words; after each cut one pass computes a block of masks, and the entropies and
likeliest tokens of its masked positions are compared (the first position has the next-token distribution and is left
out). Rank correlation is Spearman's within blocks. A block is "decided otherwise" if one pass at --gamma decides other
positions or tokens. Then the same problems are solved losslessly and in blocks: tokens per pass, accuracy.
"""
import argparse
import os
import random
import statistics
import tempfile

import runner
from runner import Cell, data_math

KEPT = ["sbd-f32", "sbd-int8", "sbd-int4"]
LEFT_OUT = 1e9  # nats: every position is decided in the first pass


def forced(tasks: list, cuts: int, seed: int, template: str) -> list[str]:
    """Prompts that end inside of a solution."""
    rng = random.Random(seed)
    prompts = []
    for task in tasks:
        places = [i for i, c in enumerate(task.solution) if c in " \n"]
        for place in rng.sample(places, min(cuts, len(places))):
            prompts.append(template.format(task.question) + task.solution[:place])
    return prompts


def blocks(tessera: str, path: str, prompts: list[str], size: int, cache: str) -> list[list[tuple[float, int]]]:
    """By prompt, (entropy, token) at every position of a block of masks."""
    options = ["--raw", "--ignore-end", "--trace", "--block-size", str(size), "--gamma", str(LEFT_OUT)]
    result = []
    for answer in runner.run(tessera, path, prompts, options, cache, size):
        reveals = answer["trace"][0]["passes"][0]["reveals"]
        assert len(reveals) == size, f"{len(reveals)} of {size} positions in the first pass"
        result.append([(r["entropy"], r["id"]) for r in reveals])
    return result


def ranks(values: list[float]) -> list[int]:
    order = sorted(range(len(values)), key=lambda i: (values[i], i))
    result = [0] * len(values)
    for rank, i in enumerate(order):
        result[i] = rank
    return result


def decided(block: list[tuple[float, int]], gamma: float) -> dict[int, int]:
    """Position -> token of what one pass decides: the first, and the surest others within gamma."""
    result, total = {0: block[0][1]}, 0.0
    for i in sorted(range(1, len(block)), key=lambda i: (block[i][0], i)):
        total += block[i][0]
        if total > gamma:
            break
        result[i] = block[i][1]
    return result


def compare(mine: list, reference: list, gamma: float) -> dict:
    """How the entropies and tokens of masked positions differ."""
    change, moved, positions, agree, correlation, otherwise = [], 0, 0, 0, [], 0
    for block, other in zip(mine, reference):
        a, b = [h for h, _ in block[1:]], [h for h, _ in other[1:]]
        ra, rb = ranks(a), ranks(b)
        n = len(a)
        change += [abs(x - y) for x, y in zip(a, b)]
        moved += sum(x != y for x, y in zip(ra, rb))
        positions += n
        agree += sum(x[1] == y[1] for x, y in zip(block[1:], other[1:]))
        correlation.append(1 - 6 * sum((x - y) ** 2 for x, y in zip(ra, rb)) / (n * (n * n - 1)))
        otherwise += decided(block, gamma) != decided(other, gamma)
    return dict(entropy=statistics.mean(h for block in mine for h, _ in block[1:]), change=statistics.mean(change),
                correlation=statistics.mean(correlation), moved=100 * moved / positions, agree=100 * agree / positions,
                otherwise=100 * otherwise / len(mine))


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*", metavar="FILE.tsr", help="the first is the reference")
    p.add_argument("--tessera", default=runner.TESSERA)
    p.add_argument("--count", type=int, default=400)
    p.add_argument("--cuts", type=int, default=5, help="blocks for each problem")
    p.add_argument("--block", type=int, default=8)
    p.add_argument("--gamma", type=float, default=0.1)
    p.add_argument("--seed", type=int, default=2024)
    p.add_argument("--template", default="<|user|>{}<|assistant|>", help="what the model's chat template makes of a question")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(args, args.models or [*runner.quantized(args.tessera, KEPT, folder).values()])


def measure(args: argparse.Namespace, models: list[str]) -> None:
    """Prints the table, a row for each file."""
    tasks = runner.problems(args.count, args.seed)
    prompts = forced(tasks, args.cuts, args.seed, args.template)
    ways = [("ntp", ["--block-size", "1"]), ("lossless", ["--block-size", str(args.block), "--verify"]),
            ("blocks", ["--block-size", str(args.block), "--gamma", f"{args.gamma:g}"])]
    cells = [Cell(path, path, way, options) for path in models for way, options in ways]
    runner.run_all(args.tessera, cells, [t.question for t in tasks], 100, ["--chat"])
    print(f"{len(prompts)} blocks of {args.block} ({(args.block - 1) * len(prompts)} masked positions), {args.count} problems, "
          f"gamma {args.gamma:g}\n")
    print("| weights | mean entropy, nats | mean change | rank correlation | ranks moved | likeliest token the same "
          "| blocks decided otherwise | lossless: tokens per pass | gamma: tokens per pass | exact: single | exact: gamma |\n"
          "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    reference = None
    for path in models:
        mine = blocks(args.tessera, path, prompts, args.block, "/nonexistent")
        reference = reference or mine
        r = compare(mine, reference, args.gamma)
        cell = {c.decoding: c for c in cells if c.path == path}
        exact = {way: 100 * sum(data_math.parse_answer(a["text"]) == t.answer for a, t in zip(c.answers, tasks)) / len(tasks)
                 for way, c in cell.items()}
        print(f"| {os.path.basename(path)} | {r['entropy']:.4f} | {r['change']:.4f} | {r['correlation']:.4f} | {r['moved']:.1f} % "
              f"| {r['agree']:.2f} % | {r['otherwise']:.1f} % | {runner.per_pass(cell['lossless']):.2f} "
              f"| {runner.per_pass(cell['blocks']):.2f} | {exact['ntp']:.1f} % | {exact['blocks']:.1f} % |", flush=True)


if __name__ == "__main__":
    main()
