"""How far files of every size are from the model they were made from, next to llama.cpp's.

    python3 Benchmarks/quality/compare.py MODEL.gguf --results FILE.json [--llama DIRECTORY]

MODEL.gguf has float weights (a quantized file is put into floats by offgrid.py). Each file is made by `tessera quantize` and run
by `tessera perplexity` over the texts, with the model in floats and an exact cache as reference. llama.cpp's files, made by
llama-quantize with the importance that llama-imatrix finds in the text that Tessera calibrates with, are imported, which
keeps their codes, and run by the same program over the same positions. Sizes are those of whole files, llama.cpp's those of its
own. Each result is added to FILE.json at once; a run that is given the same FILE.json again goes on where it was. tables.py
makes tables of them.
"""
import argparse
import datetime
import json
import os
import platform
import re
import resource
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.normpath(os.path.join(HERE, "../.."))
TEXTS = [os.path.join(ROOT, "Tools/oracle/prose.txt"), os.path.join(HERE, "mixed.txt")]
TYPES = "IQ2_M Q2_K IQ3_XXS IQ3_S Q3_K_M IQ4_XS Q4_0 Q4_K_S Q4_K_M Q5_K_M Q6_K Q8_0"
OURS = ("plain:4 plain:5 plain:6 zstd:2.2 zstd:2.5 zstd:3 zstd:3.5 zstd:4 zstd:4.5 zstd:5 zstd:6 "
        "trellis:2.5 trellis:3 trellis:3.5 trellis:4 trellis:4.5 kl:0.1 kl:0.02")


def run(*command):
    """The output of a command, and the processor time that it took; None where it failed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        print(f"{' '.join(command)}: {last}", file=sys.stderr)
        return None, 0
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def calibration_text():
    """The built-in text, as the program's source has it; dialogues without a chat template."""
    passages = {}
    for name in "CalibrationText.swift", "CalibrationText+More.swift":
        with open(os.path.join(ROOT, "Sources/Calibrating", name), encoding="utf-8") as file:
            source = file.read()
        for match in re.finditer(r"static let (\w+) =\s*(\[.*?\n    \]|\"\"\".*?\"\"\")", source, re.S):
            parts = re.findall(r'"""\n(.*?)"""|"((?:[^"\\]|\\.)*)"', match[2], re.S)
            texts = []
            for block, line in parts:
                text = re.sub(r"\\\n\s*", "", block)
                text = "\n".join(row[8:] if row.startswith(" " * 8) else row.lstrip() for row in text.split("\n"))
                text = text or line
                texts.append(text.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\"))
            passages[match[1]] = "\n\n".join(texts)
    with open(os.path.join(ROOT, "Sources/Calibrating/CalibrationText.swift"), encoding="utf-8") as file:
        order = re.findall(r"\.(?:text|dialogue)\((\w+)\)", file.read())
    return "\n".join(passages[name] for name in order)


class Judge:
    """Logits of the model in floats, and how far those of a file are from them."""

    def __init__(self, tessera, source, texts, folder):
        self.tessera = tessera
        self.references = [os.path.join(folder, f"{index}.logits") for index in range(len(texts))]
        if all(map(os.path.exists, self.references)):
            return
        exact = os.path.join(folder, "exact.tsr")
        if run(tessera, "quantize", source, "-o", exact, "--bits", "32", "--force")[0] is None:
            sys.exit(1)
        for text, logits in zip(texts, self.references):
            if run(tessera, "perplexity", exact, text, "--kv", "f32", "--write-reference", logits)[0] is None:
                sys.exit(1)
        os.remove(exact)

    def score(self, path):
        """KL divergence and agreement of the likeliest token of each text."""
        scores = [json.loads(run(self.tessera, "perplexity", path, "--reference", reference, "--json")[0])
                  for reference in self.references]
        return dict(kl=[score["mean_kl"] for score in scores],
                    top1=[score["top1_agreement"] for score in scores])


class Results:
    """Rows that are kept in a file, each by its family and name."""

    def __init__(self, path, model):
        self.path = path
        self.rows = {}
        self.head = dict(model=model, machine=machine())
        if os.path.exists(path):
            with open(path) as file:
                found = json.load(file)
            self.rows = {(row["family"], row["name"]): row for row in found["rows"]}

    def add(self, **row):
        self.rows[row["family"], row["name"]] = row
        self.head["date"] = datetime.date.today().isoformat()
        with open(self.path, "w") as file:
            json.dump(dict(self.head, rows=list(self.rows.values())), file, indent=1)
            file.write("\n")
        expected = row.get("expected_kl")
        print(f"| {row['family']} {row['name']} | {row['bytes'] / 1e6:.1f} | {' | '.join(f'{kl:.3g}' for kl in row['kl'])} | "
              f"{'' if expected is None else f'{expected:.2g}'} | {row['top1'][0]:.1%} |", flush=True)


def machine():
    with open("/proc/cpuinfo") as file:
        names = re.findall(r"model name\s*: (.*)", file.read())
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} processors"


def ours(args, results, judge, path):
    for item in args.ours.split():
        family, wish = item.split(":")
        if (family, wish) in results.rows:
            continue
        options = ["--kl", wish] if family == "kl" else ["--bits", wish]
        if family not in ("kl", "plain"):
            options += ["--codec", family]
        text, seconds = run(args.tessera, "quantize", args.model, "-o", path, "--force", "--json", *options)
        if text is None:
            continue
        chosen = [way for way in json.loads(text)["alternatives"] if way["chosen"]][0]
        results.add(family=family, name=wish, bytes=os.path.getsize(path), storage=chosen["storage"],
                    bits=chosen["bits_per_weight"], expected_kl=chosen["expected_kl"], cpu_seconds=round(seconds, 1),
                    **judge.score(path))
        os.remove(path)


def theirs(args, results, judge, path):
    gguf, matrix, text = (os.path.join(args.work, name) for name in ("theirs.gguf", "imatrix.gguf", "calibration.txt"))
    if not os.path.exists(matrix):
        with open(text, "w", encoding="utf-8") as file:
            file.write(calibration_text())
        if run(os.path.join(args.llama, "llama-imatrix"), "-m", args.model, "-f", text, "-o", matrix)[0] is None:
            return
    for kind in args.types.split():
        if ("llama.cpp", kind) in results.rows:
            continue
        made = run(os.path.join(args.llama, "llama-quantize"), "--imatrix", matrix, args.model, gguf, kind)
        if made[0] is None or run(args.tessera, "quantize", gguf, "-o", path, "--force")[0] is None:
            continue
        results.add(family="llama.cpp", name=kind, bytes=os.path.getsize(gguf), **judge.score(path))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--results", required=True, help="the file that results are added to")
    parser.add_argument("--text", action="append", help="a text whose tokens are predicted; repeatable")
    parser.add_argument("--tessera", default=os.path.join(ROOT, ".build/release/tessera"))
    parser.add_argument("--llama", help="where llama-quantize and llama-imatrix are")
    parser.add_argument("--work", default="/tmp/tessera-quality", help="folder of files between runs")
    parser.add_argument("--ours", default=OURS, help="codec:bits, or kl:divergence")
    parser.add_argument("--types", default=TYPES)
    args = parser.parse_args()
    name = os.path.splitext(os.path.basename(args.model))[0]
    args.work = os.path.join(args.work, name)
    os.makedirs(args.work, exist_ok=True)
    path = os.path.join(args.work, "file.tsr")
    judge = Judge(args.tessera, args.model, args.text or TEXTS, args.work)
    results = Results(args.results, name)
    if args.llama:
        theirs(args, results, judge, path)
    ours(args, results, judge, path)


if __name__ == "__main__":
    main()
