"""Exact-answer accuracy and passes of a model folder on held-out word problems, for many decodings.

    python evaluate.py runs/sbd/hf --count 200 --blocks 4 8 16 --gammas 0.1 0.35

The reference decoder in PyTorch (decode.py) does the work; output is a table and, with --out, CSV.
"""
import argparse
import csv
import json
import os
import random
import time

import torch
from tokenizers import Tokenizer

import checkpoint
import data_math
from decode import Settings, decode


def problems(count: int, seed: int, split: str = "test") -> list[data_math.Problem]:
    """The same problems for the same seed."""
    rng = random.Random(seed)
    return [data_math.generate(rng, split, small_talk=0) for _ in range(count)]


def evaluate(model, tokenizer: Tokenizer, tasks: list, settings: Settings) -> dict:
    """One row of the table: exact answers, valid steps, tokens and passes per problem."""
    mask, end = tokenizer.token_to_id("<|mask|>"), tokenizer.token_to_id("<|endoftext|>")
    prompts = [tokenizer.encode(f"<|user|>{t.question}<|assistant|>").ids for t in tasks]
    began = time.time()
    sequences = decode(model, prompts, settings, mask, {end})
    texts = [tokenizer.decode([t for t in s.output if t != end]) for s in sequences]
    tokens, passes = (sum(v) for v in ([len(s.output) for s in sequences], [s.passes for s in sequences]))
    right = [data_math.parse_answer(text) == task.answer for text, task in zip(texts, tasks)]
    families: dict = {}
    for ok, task in zip(right, tasks):
        families.setdefault(task.family, []).append(ok)
    mode = "lossless" if settings.lossless else "ntp" if settings.block_size == 1 else settings.order
    return dict(
        decoding=mode, k=settings.block_size, gamma=settings.gamma if mode not in ("ntp", "lossless") else "",
        problems=len(tasks), accuracy=round(100 * sum(right) / len(right), 2),
        same_text=round(100 * sum(text == task.solution for text, task in zip(texts, tasks)) / len(tasks), 2),
        passes_per_problem=round(passes / len(tasks), 2), tokens_per_pass=round(tokens / passes, 3),
        seconds=round(time.time() - began, 1), families={k: (sum(v), len(v)) for k, v in sorted(families.items())},
        texts=texts)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model", help="Hugging Face folder made by train.py")
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--seed", type=int, default=2024)
    p.add_argument("--blocks", type=int, nargs="*", default=[4, 8, 16])
    p.add_argument("--gammas", type=float, nargs="*", default=[0.1, 0.35])
    p.add_argument("--orders", nargs="*", default=["entropy"], choices=["entropy", "confidence", "margin"])
    p.add_argument("--no-ntp", action="store_true", help="leave out plain next-token decoding")
    p.add_argument("--lossless", type=int, nargs="*", default=[], help="block sizes for lossless drafts")
    p.add_argument("--paper", action="store_true", help="reveal by eq. 8 alone, without the free next-token distribution")
    p.add_argument("--show", type=int, default=0, help="print so many wrong solutions")
    p.add_argument("--families", action="store_true", help="accuracy of each problem family")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--out", help="append rows to this CSV")
    args = p.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    model = checkpoint.load_folder(args.model)
    tokenizer = Tokenizer.from_file(os.path.join(args.model, "tokenizer.json"))
    tasks = problems(args.count, args.seed)
    runs = [] if args.no_ntp else [Settings(block_size=1)]
    runs += [Settings(block_size=k, gamma=g, order=o, use_ntp=not args.paper, first=not args.paper)
             for o in args.orders for k in args.blocks for g in args.gammas]
    runs += [Settings(block_size=k, lossless=True) for k in args.lossless]
    for settings in runs:
        row = evaluate(model, tokenizer, tasks, settings)
        texts, families = row.pop("texts"), row.pop("families")
        print("  ".join(f"{k} {v}" for k, v in row.items()), flush=True)
        if args.families:
            print("  " + json.dumps(families))
        wrong = [(t, x) for t, x in zip(tasks, texts) if data_math.parse_answer(x) != t.answer]
        for task, text in wrong[:args.show]:
            print(f"--- {task.question}\n{text}\n    (right: {task.answer})")
        if args.out:
            fresh = not os.path.exists(args.out)
            with open(args.out, "a", newline="") as file:
                writer = csv.DictWriter(file, ["model", *row])
                if fresh:
                    writer.writeheader()
                writer.writerow({"model": args.model, **row})


if __name__ == "__main__":
    main()
