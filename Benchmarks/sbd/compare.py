"""Accuracy, passes and wall clock of Set Block Decoding on held-out word problems: the paper's table 1 in small.

    python3 Benchmarks/sbd/compare.py
    python3 Benchmarks/sbd/compare.py --out results sbd=mine.tsr sbd-int4=mine-int4.tsr

Without files it compares the models of Benchmarks/sbd/models. Names say what a model was trained for, and so how it is
decoded: `ntp`, next tokens only: one token per pass; `matp`, masked tokens only: one token per pass, and blocks; others
both. Names with a dash are the same model in other weights: fewer decodings. Standard library only; problems come from
Tools/train/data_math.py (its held-out side).

"p" is the probability, by McNemar's exact test, of answers that differ so unevenly from those of the first model of the
same name in single tokens (`ntp` and `matp`: from `sbd`'s), if both were equally good.
"""
import argparse
import csv
import os
import tempfile

import runner
from chart import svg
from runner import Cell, data_math

KEPT = ["ntp", "sbd", "matp", "sbd-f32", "sbd-int4"]


def decodings(name: str, blocks: list[int], gammas: list[float]) -> list[tuple[str, list[str]]]:
    """(label, options) of every decoding that suits the model."""
    result = [("NTP", ["--block-size", "1"])]
    if name == "ntp":
        return result
    isMain = "-" not in name and name != "matp"
    for k in blocks if "-" not in name else blocks[1:2]:
        for g in gammas if isMain else gammas[:1]:
            result.append((f"k={k}, gamma={g:g}", ["--block-size", str(k), "--gamma", f"{g:g}"]))
            if isMain:
                result.append((f"k={k}, gamma={g:g}, paper's rule",
                               ["--block-size", str(k), "--gamma", f"{g:g}", "--paper-rule"]))
    if name == "matp":
        return result
    result += [(f"lossless, k={k}", ["--block-size", str(k), "--verify"]) for k in blocks]
    return result + [(f"auto, gamma={gammas[0]:g}", ["--gamma", f"{gammas[0]:g}"]), ("lossless, auto (default)", [])]


def is_right(problem: data_math.Problem, answer: dict) -> bool:
    return data_math.parse_answer(answer["text"]) == problem.answer


def summarize(cell: Cell, plain: Cell, reference: Cell, tasks: list) -> dict:
    """One row: accuracy against `reference`, passes, and pace against `plain`."""
    right = [is_right(t, a) for t, a in zip(tasks, cell.answers)]
    other = [is_right(t, a) for t, a in zip(tasks, reference.answers)]
    low, high = runner.interval(sum(right), len(right))
    lost, won = (sum(a and not b for a, b in pairs) for pairs in (zip(other, right), zip(right, other)))
    rate, ratio = runner.pace(cell, plain)
    same = sum(a["text"] == b["text"] for a, b in zip(cell.answers, plain.answers))
    return dict(
        model=cell.model, decoding=cell.decoding, problems=len(right),
        accuracy=round(100 * sum(right) / len(right), 2), low=round(100 * low, 1), high=round(100 * high, 1),
        p=round(runner.mcnemar(lost, won), 4), same_as_ntp=round(100 * same / len(right), 1),
        passes_per_problem=round(sum(a["forward_passes"] for a in cell.answers) / len(right), 2),
        tokens_per_pass=round(runner.per_pass(cell), 2), tokens_per_second=round(rate), speedup=round(ratio, 2))


def markdown(rows: list[dict]) -> str:
    """The table as Markdown."""
    lines = ["| trained | decoding | exact answers (95 %) | p | passes | tokens per pass | tokens/s | to NTP | same text as NTP |",
             "|---|---|---|--:|--:|--:|--:|--:|--:|"]
    for r in rows:
        lines.append(f"| {r['model']} | {r['decoding']} | {r['accuracy']:.1f} % ({r['low']}-{r['high']}) | {r['p']:.2g} "
                     f"| {r['passes_per_problem']} | {r['tokens_per_pass']} | {r['tokens_per_second']} | {r['speedup']}x "
                     f"| {r['same_as_ntp']} % |")
    return "\n".join(lines) + "\n"


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="*", metavar="NAME=FILE.tsr")
    p.add_argument("--tessera", default=runner.TESSERA)
    p.add_argument("--out", default=os.path.join(runner.ROOT, "Benchmarks", "sbd", "results"))
    p.add_argument("--count", type=int, default=400)
    p.add_argument("--chunk", type=int, default=50, help="problems that one process answers")
    p.add_argument("--seed", type=int, default=2024)
    p.add_argument("--problems", metavar="FILE", help="`question | answer` lines instead, such as own_words.txt here")
    p.add_argument("--blocks", type=int, nargs="+", default=[4, 8, 16])
    p.add_argument("--gammas", type=float, nargs="+", default=[0.03, 0.1])
    p.add_argument("--options", default="", help="further options of all runs, such as '--ram 19.3M --io direct', with which "
                   "most weights of these models are read from disk in every pass")
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(args, dict(m.split("=", 1) for m in args.models) or runner.quantized(args.tessera, KEPT, folder))


def compare(args: argparse.Namespace, models: dict[str, str]) -> None:
    """Runs every decoding of the files and writes table and plot."""
    cells = [Cell(name, path, label, options) for name, path in models.items()
             for label, options in decodings(name, args.blocks, args.gammas)]
    tasks = runner.problems(args.count, args.seed, args.problems)
    runner.run_all(args.tessera, cells, [t.question for t in tasks], args.chunk, ["--chat", *args.options.split()])
    plain = {c.model: c for c in cells if c.decoding == "NTP"}
    first = plain.get("sbd", cells[0])
    rows = [summarize(c, plain[c.model], plain.get(c.model.split("-")[0], first) if c.model not in ("ntp", "matp") else first,
                      tasks) for c in cells]
    os.makedirs(args.out, exist_ok=True)
    with open(os.path.join(args.out, "table.csv"), "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    for name, text in (("table.md", markdown(rows)), ("accuracy.svg", svg(rows))):
        with open(os.path.join(args.out, name), "w") as file:
            file.write(text)
    print(markdown(rows))


if __name__ == "__main__":
    main()
