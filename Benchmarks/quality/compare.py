"""How far files of every size are from the model they were made from, next to llama.cpp's.

    python3 Benchmarks/quality/compare.py MODEL.gguf [--text TEXT ...] [--llama DIRECTORY] [--json OUT.json]

MODEL.gguf has float weights (a quantized file is put into floats by offgrid.py). Each file is made by `tessera quantize` and run
by `tessera perplexity` over the texts, with the model in floats and an exact cache as reference. llama.cpp's files, made by
llama-quantize with the importance that llama-imatrix finds in the text given by --importance, are imported, which keeps their codes, and run by the same program
over the same positions. Sizes are those of whole files.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
TYPES = "Q2_K IQ3_S Q3_K_S Q3_K_M Q3_K_L IQ4_XS Q4_0 Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K Q8_0"


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        print(f"{' '.join(command)}: {last}", file=sys.stderr)
        return None
    return done.stdout


class Judge:
    """Logits of the model in floats, and how far those of a file are from them."""

    def __init__(self, tessera, source, texts, folder):
        self.tessera = tessera
        self.references = []
        exact = os.path.join(folder, "exact.tsr")
        if run(tessera, "quantize", source, "-o", exact, "--bits", "32") is None:
            sys.exit(1)
        for index, text in enumerate(texts):
            logits = os.path.join(folder, f"{index}.logits")
            if run(tessera, "perplexity", exact, text, "--kv", "f32", "--write-reference", logits) is None:
                sys.exit(1)
            self.references.append(logits)
        os.remove(exact)

    def score(self, path):
        """KL divergence and agreement of the likeliest token, over all positions of all texts."""
        scores = [json.loads(run(self.tessera, "perplexity", path, "--reference", reference, "--json"))
                  for reference in self.references]
        tokens = sum(score["tokens"] for score in scores)
        return dict(kl=sum(score["tokens"] * score["mean_kl"] for score in scores) / tokens,
                    top1=sum(score["tokens"] * score["top1_agreement"] for score in scores) / tokens,
                    kl_by_text=[score["mean_kl"] for score in scores])


def ours(args, path):
    """(family, name, expected KL) of each file, written to `path`."""
    def make(*options):
        text = run(args.tessera, "quantize", args.model, "-o", path, "--force", "--json", *options)
        if text is None:
            return None
        chosen = [way for way in json.loads(text)["alternatives"] if way["chosen"]]
        return chosen[0]["expected_kl"] if chosen else None

    for bits in args.plain.split():
        for family, options in ("plain", ["--calibrate", "off"]), ("plain, calibrated", []):
            if bits == "8":
                options = []
            expected = make("--bits", bits, *options)
            yield family, f"--bits {bits}", expected
            if bits == "8":
                break
    for bits in args.rates.split():
        for codec in args.codecs.split():
            for family, options in (codec, ["--calibrate", "off"]), (codec + ", calibrated", []):
                yield family, f"--bits {bits}", make("--bits", bits, "--codec", codec, *options)


def theirs(args, folder, path):
    """(name, bytes) of each file of llama.cpp's, imported to `path`."""
    gguf, matrix = os.path.join(folder, "theirs.gguf"), os.path.join(folder, "imatrix.dat")
    options = []
    if args.importance:
        if run(os.path.join(args.llama, "llama-imatrix"), "-m", args.model, "-f", args.importance, "-o", matrix) is None:
            return
        options = ["--imatrix", matrix]
    for kind in args.types.split():
        if run(os.path.join(args.llama, "llama-quantize"), *options, args.model, gguf, kind) is None:
            continue
        if run(args.tessera, "quantize", gguf, "-o", path, "--force") is not None:
            yield kind, os.path.getsize(gguf)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--text", action="append", help="what is predicted; repeatable")
    parser.add_argument("--tessera", default=os.path.join(ROOT, ".build/release/tessera"))
    parser.add_argument("--llama", help="where llama-quantize and llama-imatrix are")
    parser.add_argument("--importance", help="the text of llama-imatrix")
    parser.add_argument("--plain", default="4 5 6 8", help="whole bits of plain codes")
    parser.add_argument("--rates", default="2.2 2.5 3 3.5 4 4.5 5 6")
    parser.add_argument("--codecs", default="zstd trellis")
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--json", help="write the rows to this file")
    args = parser.parse_args()
    texts = args.text or [os.path.join(ROOT, "Tools/oracle/prose.txt")]
    rows = []
    print("| file | MB | KL divergence | expected | same top token |\n|---|--:|--:|--:|--:|", flush=True)

    def add(family, name, size, expected, score):
        rows.append(dict(family=family, name=name, bytes=size, expected_kl=expected, **score))
        told = "" if expected is None else f"{expected:.2g}"
        print(f"| {family} {name} | {size / 1e6:.1f} | {score['kl']:.3g} | {told} | {score['top1']:.1%} |", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "file.tsr")
        judge = Judge(args.tessera, args.model, texts, folder)
        for family, name, expected in ours(args, path):
            if os.path.exists(path):
                add(family, name, os.path.getsize(path), expected, judge.score(path))
                os.remove(path)
        for kind, size in theirs(args, folder, path) if args.llama else ():
            add("llama.cpp", kind, size, None, judge.score(path))
    if args.json:
        with open(args.json, "w") as file:
            json.dump(dict(model=os.path.basename(args.model), rows=rows), file, indent=1)


if __name__ == "__main__":
    main()
