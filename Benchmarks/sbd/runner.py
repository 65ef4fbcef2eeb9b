"""Runs many questions through many decodings, in turn, and counts answers, passes and seconds.

Every process answers a chunk of the questions (`tessera generate --batch`), as a user's program would: threads and
caches are warm except in its first passes. Chunk by chunk all decodings take their turn, in changing order, so that a change
of the machine's pace hits all alike.
"""
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TESSERA = os.path.join(ROOT, ".build", "release", "tessera")
MODELS = os.path.join(ROOT, "Benchmarks", "sbd", "models")  # made by train-models
WEIGHTS = {"f32": "32", "int8": "8", "int4": "4"}
sys.path.insert(0, os.path.join(ROOT, "Tools", "train"))
import data_math  # noqa: E402


@dataclass
class Cell:
    """One model, decoded in one way."""
    model: str
    path: str
    decoding: str
    options: list[str]
    answers: list[dict] = field(default_factory=list)
    chunks: list[int] = field(default_factory=list)  # answers in each chunk


def quantized(tessera: str, names: list[str], folder: str) -> dict[str, str]:
    """Files of the models that are kept here, made in `folder`. Names are those of compare.py: `sbd`, `sbd-int4`; 8 bits
    where a name says nothing."""
    result = {}
    for name in names:
        model, _, weights = name.partition("-")
        result[name] = os.path.join(folder, name + ".tsr")
        subprocess.run([tessera, "quantize", os.path.join(MODELS, model), "-o", result[name],
                        "--bits", WEIGHTS[weights or "int8"]], check=True, capture_output=True)
    return result


def problems(count: int, seed: int, path: str | None = None) -> list[data_math.Problem]:
    """Held-out problems, the same for the same seed; or those of a file, `question | answer` in each line."""
    if path:
        with open(path) as file:
            lines = [line.rsplit("|", 1) for line in file if not line.startswith("#")]
        return [data_math.Problem("own", q.strip(), "", int(a), q.strip()) for q, a in lines]
    rng = random.Random(seed)
    return [data_math.generate(rng, "test", small_talk=0) for _ in range(count)]


def run(tessera: str, path: str, questions: list[str], options: list[str], cache: str, limit: int = 160) -> list[dict]:
    """The command's JSON objects, one a question."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(q) + "\n" for q in questions)
        file.flush()
        command = [tessera, "generate", path, "--batch", file.name, "-n", str(limit), "--temperature", "0",
                   "--parallel", "1", *options]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TESSERA_CACHE": cache})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def run_all(tessera: str, cells: list[Cell], questions: list[str], chunk: int, options: list[str], limit: int = 160) -> None:
    """Fills the cells' answers, in the order of the questions."""
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as cache:
        for begin in range(0, len(questions), chunk):
            part = questions[begin:begin + chunk]
            for cell in rng.sample(cells, len(cells)):
                cell.answers += run(tessera, cell.path, part, cell.options + options, cache, limit)
                cell.chunks.append(len(part))
            if sys.stderr.isatty():
                print(f"\r{begin + len(part)} of {len(questions)} questions", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)


def seconds(cell: Cell, plain: Cell) -> list[float]:
    """By chunk: seconds from the first token of single-token decoding on, so that tokens which a first pass gives
    next to it are not free."""
    result, begin = [], 0
    for count in cell.chunks:
        part = range(begin, begin + count)
        total = sum(cell.answers[i]["time_to_first_token_seconds"] + cell.answers[i]["decode_seconds"] for i in part)
        result.append(total - sum(plain.answers[i]["time_to_first_token_seconds"] for i in part))
        begin += count
    return result


def rates(cell: Cell, plain: Cell) -> list[float]:
    """Tokens per second by chunk."""
    result, begin = [], 0
    for count, time in zip(cell.chunks, seconds(cell, plain)):
        result.append(sum(a["generated_tokens"] - 1 for a in cell.answers[begin:begin + count]) / time)
        begin += count
    return result


def ratios(cell: Cell, other: Cell, plain: Cell) -> list[float]:
    """How many times as fast as `other`, by chunk."""
    return [mine / its for mine, its in zip(rates(cell, plain), rates(other, plain))]


def pace(cell: Cell, plain: Cell) -> tuple[float, float]:
    """Tokens per second, and how many times as fast as `plain`: medians over the chunks."""
    return statistics.median(rates(cell, plain)), statistics.median(ratios(cell, plain, plain))


def median_interval(values: list[float]) -> tuple[float, float]:
    """95 % interval of the median, by drawing anew from the values."""
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(1000))
    return medians[25], medians[974]


def per_pass(cell: Cell) -> float:
    return sum(a["generated_tokens"] for a in cell.answers) / sum(a["forward_passes"] for a in cell.answers)


def interval(right: int, count: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, p = 1.96, right / count
    middle, width = p + z * z / (2 * count), z * math.sqrt(p * (1 - p) / count + z * z / (4 * count * count))
    return (middle - width) / (1 + z * z / count), (middle + width) / (1 + z * z / count)


def mcnemar(lost: int, won: int) -> float:
    """Two-sided exact probability of so uneven a split of the problems that only one of two decodings solves."""
    total, less = lost + won, min(lost, won)
    return min(1.0, 2 * sum(math.comb(total, i) for i in range(less + 1)) / 2 ** total)
