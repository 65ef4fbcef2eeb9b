"""How much faster are looked-up drafts? Tokens per second with `--draft lookup` to those with `--draft off`.

    Tools/fetch-model --bits 8
    python3 Benchmarks/lookup/compare.py models/smollm2-135m-int8.tsr
    python3 Benchmarks/lookup/compare.py models/smollm2-135m-int8.tsr --options "--ram 110M --io direct"    # streamed

Thirty prompts ask for a copy of something they hold (prompts.py), answered at temperature 0; twelve ask for prose, drawn
as the model's chats are. Both ways make the same text, which is checked. A process answers a few prompts; the ways take turns.
Only decoding counts, after the first token. A kind's ratio is the median over its prompts, each the median of the rounds.

`--draft MODEL.tsr` compares the drafts of a second model with single tokens in the same way.

On a machine that is busy otherwise, `--cpu` counts processor seconds of one thread instead, less those of answers of one token; a
prompt's ratio is then that of its process.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile

import prompts

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def processor_seconds() -> float:
    """Processor seconds of all child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def answers(args: argparse.Namespace, way: str, texts: list[str], options: list[str], limit: int) -> tuple[list[dict], float]:
    """The answers, and the processor seconds that they took."""
    before = processor_seconds()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file, tempfile.TemporaryDirectory() as cache:
        file.writelines(json.dumps(t) + "\n" for t in texts)
        file.flush()
        command = [args.tessera, "generate", args.model, "--chat", "--batch", file.name, "-n", str(limit), "--draft", way,
                   "--parallel", "1", *options, *args.options.split()]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TESSERA_CACHE": cache})
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()], processor_seconds() - before


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", metavar="FILE.tsr")
    p.add_argument("--tessera", default=os.path.join(ROOT, ".build", "release", "tessera"))
    p.add_argument("--draft", default="lookup", help="what is compared with single tokens: lookup, or the file of a second model")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--chunk", type=int, default=4, help="prompts that one process answers")
    p.add_argument("--limit", type=int, default=256, help="most tokens of an answer")
    p.add_argument("--kinds", nargs="+", default=["quote", "edit", "extract", "prose"])
    p.add_argument("--options", default="", help="further options of all runs")
    p.add_argument("--cpu", action="store_true", help="count processor seconds of one thread")
    args = p.parse_args()
    ways = ["off", args.draft]
    if args.cpu:
        args.options += " --threads 1"
    asked = prompts.copying() + [("prose", text) for text in prompts.PROSE]
    results: dict[str, list[tuple[float, dict]]] = {}
    for kind in args.kinds:
        texts = [text for k, text in asked if k == kind]
        options = ["--seed", "1"] if kind == "prose" else ["--temp", "0"]
        ratios: list[list[float]] = [[] for _ in texts]
        last: list[dict] = []
        for round_ in range(args.rounds):
            last = []
            for begin in range(0, len(texts), args.chunk):
                part = texts[begin:begin + args.chunk]
                turns = ways if (round_ + begin // args.chunk) % 2 == 0 else ways[::-1]
                got, spent = {}, {}
                for way in turns:
                    got[way], spent[way] = answers(args, way, part, options, args.limit)
                begun = answers(args, "off", part, options, 1)[1] if args.cpu else 0.0
                for index, (off, drafted) in enumerate(zip(got["off"], got[args.draft])):
                    if off["token_ids"] != drafted["token_ids"]:
                        raise SystemExit(f"the texts differ: {part[index]}")
                    if off["generated_tokens"] > 1:
                        times = ([spent[way] - begun for way in ways] if args.cpu
                                 else [off["decode_seconds"], drafted["decode_seconds"]])
                        ratios[begin + index].append(times[0] / max(times[1], 1e-9))
                last += got[args.draft]
                print(f"\r{kind}, round {round_ + 1}: {begin + len(part)} of {len(texts)}", end="", file=sys.stderr)
        results[kind] = [(statistics.median(r), a) for r, a in zip(ratios, last) if r]
    print(file=sys.stderr)
    print("| prompts | of them | tokens | tokens per pass | right of the drafted | tokens/s to single tokens: median | least | most |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|")
    kinds = {kind: results[kind] for kind in args.kinds}
    copies = [r for kind in args.kinds if kind != "prose" for r in results[kind]]
    if copies:
        kinds["all copying"] = copies
    for kind, rows in kinds.items():
        total = {key: sum(a[key] for _, a in rows)
                 for key in ["generated_tokens", "forward_passes", "drafted_tokens", "accepted_tokens"]}
        pace = [ratio for ratio, _ in rows]
        share = total["accepted_tokens"] / max(1, total["drafted_tokens"])
        print(f"| {kind} | {len(rows)} | {total['generated_tokens']} | {total['generated_tokens'] / total['forward_passes']:.2f} "
              f"| {100 * share:.0f} % | {statistics.median(pace):.2f}x | {min(pace):.2f}x | {max(pace):.2f}x |")


if __name__ == "__main__":
    main()
