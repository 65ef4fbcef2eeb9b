"""Accuracy, passes and wall clock of Set Block Decoding on held-out word problems: the paper's table 1 in small.

    python3 Benchmarks/sbd/compare.py --tessera .build/release/tessera --out results \\
        sbd=small-sbd.tsr ntp=small-ntp.tsr matp-only=small-matp.tsr

Standard library only. Problems come from Tools/train/data_math.py (its held-out side). Every model decodes
with next tokens; models other than `ntp` also with blocks and in lossless mode. Each problem
runs under all decodings one after another, so that a change of the machine's pace hits all alike.
"""
import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "Tools", "train"))
import data_math  # noqa: E402


def decodings(name: str, blocks: list[int], gammas: list[float]) -> list[tuple[str, list[str]]]:
    """(label, options) of every decoding that suits the model."""
    result = [("NTP", ["--block-size", "1"])]
    if name != "ntp":
        result += [(f"k={k}, gamma={g:g}", ["--block-size", str(k), "--gamma", f"{g:g}"]) for k in blocks for g in gammas]
        result += [("auto", ["--block-size", "auto", "--gamma", f"{gammas[0]:g}"]),
                   ("lossless, k=4", ["--block-size", "4", "--verify"]),
                   ("lossless, k=8", ["--block-size", "8", "--verify"]),
                   ("lossless, auto (default)", [])]
    return result


def generate(tessera: str, model: str, question: str, options: list[str], threads: int) -> dict:
    """One answer as the command's JSON object."""
    command = [tessera, "generate", model, "--chat", "-p", question, "-n", "160", "--temperature", "0", "--json", *options]
    if threads:
        command += ["--threads", str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def measure(args, models: list[tuple[str, str]]) -> list[dict]:
    """One row a model and decoding."""
    rng = random.Random(args.seed)
    tasks = [data_math.generate(rng, "test", small_talk=0) for _ in range(args.count)]
    cells = [(name, path, label, options) for name, path in models
             for label, options in decodings(name, args.blocks, args.gammas)]
    results: dict = {}
    for number, task in enumerate(tasks):
        for name, path, label, options in cells:
            answer = generate(args.tessera, path, task.question, options, args.threads)
            results.setdefault((name, label), []).append((task, answer))
        if sys.stderr.isatty():
            print(f"\r{number + 1} of {len(tasks)} problems", end="\n" if number + 1 == len(tasks) else "", file=sys.stderr)
    return [summarize(name, label, results[name, label], results[name, "NTP"]) for name, _, label, _ in cells]


def summarize(name: str, label: str, answers: list, plain: list) -> dict:
    """Accuracy, passes and pace; agreement with the same model's next-token answers."""
    right = sum(data_math.parse_answer(a["text"]) == t.answer for t, a in answers)
    tokens = sum(a["generated_tokens"] for _, a in answers)
    passes = sum(a["forward_passes"] for _, a in answers)
    pace = [a["generated_tokens"] / a["decode_seconds"] for _, a in answers if a["decode_seconds"] > 0]
    ratio = [p["decode_seconds"] / a["decode_seconds"] for (_, a), (_, p) in zip(answers, plain) if a["decode_seconds"] > 0]
    return dict(
        model=name, decoding=label, problems=len(answers), accuracy=round(100 * right / len(answers), 1),
        same_as_ntp=round(100 * sum(a["text"] == p["text"] for (_, a), (_, p) in zip(answers, plain)) / len(answers), 1),
        passes_per_problem=round(passes / len(answers), 2), tokens_per_pass=round(tokens / passes, 2),
        tokens_per_second=round(statistics.median(pace), 1), speedup=round(statistics.median(ratio), 2))


def markdown(rows: list[dict]) -> str:
    """The table for README."""
    head = "| trained | decoding | exact answers | passes | tokens per pass | tokens/s | wall clock | same text as NTP |"
    lines = [head, "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        lines.append(f"| {r['model']} | {r['decoding']} | {r['accuracy']} % | {r['passes_per_problem']} | {r['tokens_per_pass']} "
                     f"| {r['tokens_per_second']} | {r['speedup']}x | {r['same_as_ntp']} % |")
    return "\n".join(lines) + "\n"


def svg(rows: list[dict]) -> str:
    """Accuracy over tokens per pass, one point a row."""
    width, height, left, top, bottom = 640, 380, 60, 20, 50
    colours = ["#1b6ca8", "#d1495b", "#3c8d5a", "#8e5ea2", "#c98a1b"]
    right_most = max(r["tokens_per_pass"] for r in rows) * 1.1
    x = lambda v: left + (width - left - 140) * v / right_most
    y = lambda v: top + (height - top - bottom) * (100 - v) / 100
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>']
    for percent in range(0, 101, 20):
        out.append(f'<path d="M{left} {y(percent):.1f}H{width - 140}" stroke="#ddd"/>'
                   f'<text x="{left - 8}" y="{y(percent) + 4:.1f}" text-anchor="end">{percent} %</text>')
    for tick in range(1, int(right_most) + 1):
        out.append(f'<text x="{x(tick):.1f}" y="{height - bottom + 18}" text-anchor="middle">{tick}</text>')
    out.append(f'<text x="{x(right_most / 2):.1f}" y="{height - 10}" text-anchor="middle">tokens per forward pass</text>')
    names = list(dict.fromkeys(r["model"] for r in rows))
    for r in rows:
        colour = colours[names.index(r["model"]) % len(colours)]
        out.append(f'<circle cx="{x(r["tokens_per_pass"]):.1f}" cy="{y(r["accuracy"]):.1f}" r="5" fill="{colour}" '
                   f'fill-opacity="0.75"><title>{r["model"]}, {r["decoding"]}</title></circle>')
    for i, name in enumerate(names):
        out.append(f'<circle cx="{width - 125}" cy="{top + 10 + 20 * i}" r="5" fill="{colours[i % len(colours)]}"/>'
                   f'<text x="{width - 112}" y="{top + 14 + 20 * i}">{name}</text>')
    return "\n".join(out + ["</svg>\n"])


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+", metavar="NAME=FILE.tsr", help="the name `ntp` marks a model without masks")
    p.add_argument("--tessera", default=os.path.join(ROOT, ".build", "release", "tessera"))
    p.add_argument("--out", default=os.path.join(ROOT, "Benchmarks", "sbd", "results"))
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--seed", type=int, default=2024)
    p.add_argument("--blocks", type=int, nargs="+", default=[4, 8, 16])
    p.add_argument("--gammas", type=float, nargs="+", default=[0.01, 0.1])
    p.add_argument("--threads", type=int, default=0)
    args = p.parse_args()
    rows = measure(args, [tuple(m.split("=", 1)) for m in args.models])
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
