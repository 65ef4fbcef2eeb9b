"""A model's own answers to prompts, many at a time, as training data for a drafter.

    python answers.py data/smollm2 --tessera ../../.build/release/tessera --model smollm2-135m.tsr --tokens 2000000

The runtime answers batches of prompts (`generate --batch`), most of them greedily, every fourth batch at temperature 0.8.
Each finished batch is a file NNNN.jsonl: {"kind", "prompt", "system"?, "temperature", "prompt_tokens", "token_ids"}. A run
that was stopped goes on with the next batch. `held-out.jsonl` has the prompts that are never trained on.
"""
import argparse
import glob
import json
import os
import random
import subprocess
import sys

import prompts


def answers(args, requests: list[dict], temperature: float, seed: int) -> list[dict]:
    """The requests with what the model answered."""
    lines = "".join(json.dumps({k: v for k, v in r.items() if k in ("prompt", "system")}) + "\n" for r in requests)
    done = subprocess.run(
        [args.tessera, "generate", args.model, "--chat", "--batch", "-", "--json", "-n", str(args.longest), "--parallel",
         str(args.parallel), "--threads", str(args.threads), "--draft", "off", "--temperature", str(temperature), "--seed", str(seed)],
        input=lines, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"answers: {done.stderr}")
    made = []
    for line in done.stdout.splitlines():
        answer = json.loads(line)
        request = dict(requests[answer["index"]], temperature=temperature)
        made.append(request | {name: answer[name] for name in ("prompt_tokens", "token_ids")})
    return made


def write(path: str, records: list[dict]) -> None:
    """The whole file or none."""
    with open(path + ".tmp", "w") as file:
        file.writelines(json.dumps(record) + "\n" for record in records)
    os.replace(path + ".tmp", path)


def read(folder: str) -> list[dict]:
    """All records of finished batches, in order."""
    found = []
    for path in sorted(glob.glob(os.path.join(folder, "[0-9]*.jsonl"))):
        with open(path) as file:
            found += [json.loads(line) for line in file]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--tessera", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--tokens", type=int, default=2_000_000, help="of answers, after which it ends")
    parser.add_argument("--size", type=int, default=192, help="prompts of a batch")
    parser.add_argument("--longest", type=int, default=256, help="tokens of an answer")
    parser.add_argument("--parallel", type=int, default=16)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    os.makedirs(args.out, exist_ok=True)
    held = os.path.join(args.out, "held-out.jsonl")
    if not os.path.exists(held):
        write(held, prompts.held_out())
    rng, asked, tokens, batch = random.Random(args.seed), set(), 0, 0
    while tokens < args.tokens:
        requests = []
        while len(requests) < args.size:
            request = prompts.prompt(rng)
            if request["prompt"] not in asked:
                asked.add(request["prompt"])
                requests.append(request)
        path = os.path.join(args.out, f"{batch:04}.jsonl")
        if not os.path.exists(path):
            write(path, answers(args, requests, 0.8 if batch % 4 == 3 else 0, args.seed * 1000 + batch))
        with open(path) as file:
            tokens += sum(len(json.loads(line)["token_ids"]) for line in file)
        batch += 1
        print(f"{batch} batches, {tokens} tokens", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
