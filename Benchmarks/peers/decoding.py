"""Decodes with Tessera and llama.cpp in turn, from the same weights: looked-up drafts, and texts in common passes.

    Tools/fetch-model
    python3 Benchmarks/peers/decoding.py models/smollm2-135m.tsr ~/.cache/tessera/SmolLM2-135M-Instruct.Q4_1.gguf --llama ~/llama/bin

*Lookup*: tokens per second after the prompt, of the prompts of `Benchmarks/lookup` that ask for a copy, as ChatML, greedy. Ours is
`generate --draft lookup`, theirs `llama-lookup`, whose n-gram drafts come from prompt and output too; each next to its own
single tokens. *Batch*: tokens per second of so many texts, prompts included: `generate --batch --parallel` and `llama-batched-bench`.

Each round runs both programs once, in changing order; a figure is the median over the rounds, a ratio the median of the rounds' own.
Texts of the two may differ after a while, since each rounds in its own way; a prompt counts by its own pace, whatever its text.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "Benchmarks", "lookup"))
sys.path.insert(0, os.path.join(ROOT, "Benchmarks", "parallel"))
import compare as parallel  # noqa: E402  (of Benchmarks/parallel)
import prompts  # noqa: E402

CHATML = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"


def output_of(command):
    """Standard output and standard error of a command."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
    return done.stdout, done.stderr


def our_lookup(args, path, draft):
    """Tokens per second of one prompt."""
    out, _ = output_of([args.tessera, "generate", args.model, "-f", path, "--raw", "--temp", "0", "-n", str(args.tokens),
                        "--draft", draft, "--json", "-t", str(args.threads)])
    return json.loads(out)["tokens_per_second"]


def their_lookup(args, path, draft):
    """The same; `off` drafts nothing."""
    out, err = output_of([os.path.join(args.llama, "llama-lookup"), "-m", args.gguf, "-f", path, "--temp", "0",
                          "-n", str(args.tokens), "--spec-draft-n-max", "0" if draft == "off" else str(args.draft_max),
                          "-t", str(args.threads), "-fa", "on"])
    found = re.search(r"decoded +(\d+) tokens in +([\d.]+) seconds", out + err)
    if not found:
        raise SystemExit(f"llama-lookup said nothing of its pace:\n{err[-2000:]}")
    return int(found[1]) / float(found[2])


def our_batch(args, path, count):
    """Tokens per second of `count` texts, prompts included."""
    seconds, ids = parallel.run(args.tessera, args.model, path, count, [
        "-n", str(args.batch_tokens), "--temp", "0", "--ignore-end", "--draft", "off", "-t", str(args.threads)])
    return sum(map(len, ids)) / seconds


def their_batch(args, prompt_tokens, count):
    out, _ = output_of([os.path.join(args.llama, "llama-batched-bench"), "-m", args.gguf, "-npp", str(prompt_tokens),
                        "-ntg", str(args.batch_tokens), "-npl", str(count), "-c", "4096", "-fa", "on",
                        "-t", str(args.threads), "--output-format", "jsonl"])
    row = next(json.loads(line) for line in out.splitlines() if line.startswith("{"))
    return count * args.batch_tokens / (row["t_pp"] + row["t_tg"])


def alternate(rounds, ours, theirs):
    """The median figures of two ways that take turns, and the median of their ratios with its range."""
    pairs = []
    for index in range(rounds):
        first = ours() if index % 2 == 0 else None
        other = theirs()
        pairs.append((first if first is not None else ours(), other))
    ratios = [a / b for a, b in pairs]
    return (statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs),
            statistics.median(ratios), min(ratios), max(ratios))


def lookup(args):
    """By kind of prompt: both programs' gains over single tokens, and ours over theirs."""
    rows = {}
    asked = prompts.copying()[::args.every]
    for number, (kind, text) in enumerate(asked):
        print(f"\rlookup: {number + 1} of {len(asked)} prompts", end="", file=sys.stderr)
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(CHATML.format(text))
            file.flush()
            single = alternate(args.rounds, lambda: our_lookup(args, file.name, "off"),
                               lambda: their_lookup(args, file.name, "off"))
            drafted = alternate(args.rounds, lambda: our_lookup(args, file.name, "lookup"),
                                lambda: their_lookup(args, file.name, "lookup"))
        row = (drafted[0] / single[0], drafted[1] / single[1], drafted[2])
        rows.setdefault(kind, []).append(row)
        rows.setdefault("all", []).append(row)
    print(file=sys.stderr)
    print("| prompts | of them | tessera: to single tokens | llama.cpp: to single tokens | tessera to llama.cpp |")
    print("|---|--:|--:|--:|--:|")
    for kind, values in rows.items():
        ours, theirs, ratio = (statistics.median(v[i] for v in values) for i in range(3))
        print(f"| {kind} | {len(values)} | {ours:.2f}x | {theirs:.2f}x | {ratio:.2f}x |")


def batch(args):
    print("\n| texts at a time | tessera tok/s | llama.cpp tok/s | ratio | range |")
    print("|--:|--:|--:|--:|---|")
    for count in args.parallel:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write("\n".join(parallel.prompts(count)))
            file.flush()
            out, _ = output_of([args.tessera, "generate", args.model, "--batch", file.name, "-n", "1", "--draft", "off"])
            tokens = round(statistics.mean(json.loads(line)["prompt_tokens"] for line in out.splitlines()))
            ours, theirs, ratio, low, high = alternate(
                args.rounds, lambda: our_batch(args, file.name, count), lambda: their_batch(args, tokens, count))
        print(f"| {count} | {ours:.1f} | {theirs:.1f} | {ratio:.2f} | {low:.2f}-{high:.2f} |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="FILE.tsr")
    parser.add_argument("gguf", metavar="FILE.gguf", help="the same weights")
    parser.add_argument("--llama", required=True, metavar="DIRECTORY", help="of llama.cpp's programs")
    parser.add_argument("--tessera", default=os.path.join(ROOT, ".build", "release", "tessera"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--tokens", type=int, default=256, help="most tokens of an answer with drafts")
    parser.add_argument("--draft-max", type=int, default=16, help="llama-lookup's longest draft")
    parser.add_argument("--every", type=int, default=1, help="take one in so many of the prompts")
    parser.add_argument("--parallel", type=int, nargs="*", default=[1, 16], help="texts at a time")
    parser.add_argument("--batch-tokens", type=int, default=32, help="tokens of each text of a batch")
    parser.add_argument("--only", choices=["lookup", "batch"])
    args = parser.parse_args()
    if args.only != "batch":
        lookup(args)
    if args.only != "lookup":
        batch(args)


if __name__ == "__main__":
    main()
