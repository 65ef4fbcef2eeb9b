"""Trains a block drafter for a Llama-class target from the target's own answers (answers.py).

    python drafter.py runs/smollm2 --target models/smollm2 --data data/smollm2 --steps 4000
    python drafter.py runs/smollm2 --resume                       goes on, with whatever data there is by now

--target is a Hugging Face folder (of a GGUF file: from_gguf.py, of a .tsr: from_tsr.py). A run folder holds arguments.json,
log.csv, loss.svg, state.pt and hf/, a folder that `tessera quantize hf -o drafter.tsr --drafts-for TARGET.tsr` imports. SIGTERM and
Ctrl-C save first. What the target computes is kept in --cache in bfloat16, so that later epochs take half the time.
On a CPU, bfloat16 products (--bf16) were slower here than float32 ones: measure first. A GPU is used where there is one.
"""
import argparse
import collections
import csv
import json
import os
import random
import signal
import time

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

import answers
import checkpoint
from drafter_model import Drafter, Shape, accepted, default_taps, losses, read_target
from optim import make_optimizers, schedule
from plot import plot
from streams import template_chat

FIELDS = ["step", "seconds", "tokens", "lr", "ce", "tv", "test_accepted"]


def parse(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("out", help="run folder")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--target", help="Hugging Face folder")
    p.add_argument("--data", help="folder of answers.py")
    p.add_argument("--cache", help="folder for what the target computes")
    p.add_argument("--layers", type=int, default=2)
    p.add_argument("--taps", type=int, nargs="+", help="blocks of the target from 0 (default: five, spread out)")
    p.add_argument("--block", type=int, default=7, help="tokens of a draft")
    p.add_argument("--markov-rank", type=int, default=64)
    p.add_argument("--vocabulary", type=int, default=0, help="tokens that can be drafted, those most frequent in the answers (default: all)")
    p.add_argument("--intermediate", type=int, default=0, help="width of the MLP (default: the target's)")
    p.add_argument("--mask-token", type=int, default=0, help="a token that texts do not hold")
    p.add_argument("--steps", type=int, default=2000)
    p.add_argument("--batch", type=int, default=8, help="texts a step")
    p.add_argument("--length", type=int, default=512, help="longest text, in tokens; the rest is cut")
    p.add_argument("--every", type=float, default=4, help="tokens of an answer for each anchor")
    p.add_argument("--decay", type=float, default=4, help="rows count exp(-i / decay)")
    p.add_argument("--cross", type=float, default=0.5, help="weight of the cross entropy")
    p.add_argument("--distance", type=float, default=0.5, help="weight of the total variation distance")
    p.add_argument("--optimizer", choices=["muon", "adamw"], default="muon")
    p.add_argument("--lr", type=float, default=0.01)
    p.add_argument("--adam-lr", type=float, default=1e-3, help="of what Muon does not train")
    p.add_argument("--warmup", type=int, default=20)
    p.add_argument("--test-every", type=int, default=50)
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--bf16", action="store_true")
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args(argv)
    if not args.resume and not (args.target and args.data):
        p.error("--target and --data are needed")
    return args


class Texts:
    """Prompts with their answers as ids, and what the target computes of them."""

    def __init__(self, args, target, device):
        self.args, self.target, self.device = args, target, device
        self.tokenizer = Tokenizer.from_file(os.path.join(args.target, "tokenizer.json"))
        self.chat = template_chat(self.tokenizer, args.target, 0)
        self.items: list[tuple[str, list[int], int]] = []
        self.test: list[tuple[str, list[int], int]] = []
        self.seen = 0

    def refresh(self) -> None:
        """Takes in answers that have come since; every fiftieth text is for tests."""
        records = answers.read(self.args.data)
        for number, record in enumerate(records[self.seen:], self.seen):
            messages = [("system", record["system"])] if "system" in record else []
            prompt = self.chat(messages + [("user", record["prompt"]), ("assistant", "")]).ids[:-1]
            if len(prompt) != record["prompt_tokens"]:
                raise SystemExit(f"drafter: text {number} has {record['prompt_tokens']} tokens in its prompt, and {len(prompt)} by the "
                                 "folder's chat template: is --target the model that answered?")
            ids = (prompt + record["token_ids"])[:self.args.length]
            if len(ids) - len(prompt) > 8:
                (self.test if number % 50 == 0 else self.items).append((f"{number:07}", ids, len(prompt)))
        self.seen = len(records)

    def frequent(self, count: int) -> list[int]:
        """The ids met most often in answers, ascending; of those never met, low ids come first."""
        met = collections.Counter(token for _, ids, begin in self.items for token in ids[begin:])
        every = range(self.target.config.vocab_size)
        return sorted(sorted(every, key=lambda token: (-met[token], token))[:count])

    def read(self, item, taps) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and what the target computes of them."""
        name, ids, _ = item
        tokens = torch.tensor(ids, device=self.device)
        path = self.args.cache and os.path.join(self.args.cache, name + ".pt")
        if path and os.path.exists(path):
            return tokens, torch.load(path, map_location=self.device).float()
        read = read_target(self.target, tokens, taps)
        if path:
            checkpoint.save_state(path, read.bfloat16())
            read = read.bfloat16().float()  # as later epochs will have it
        return tokens, read


def anchors(rng: random.Random, begin: int, end: int, every: float) -> list[int]:
    """Positions of an answer to draft after: from the token before it to the last but one."""
    places = range(begin - 1, end - 1)
    return sorted(rng.sample(places, max(1, min(len(places), round(len(places) / every)))))


def test(drafter: Drafter, texts: Texts, most: int = 40) -> list[float]:
    """The share of drafts whose first 1, 2, ... tokens are right, over texts that are not trained on."""
    drafter.eval()
    count, found = drafter.shape.block, []
    for item in texts.test[:most]:
        tokens, read = texts.read(item, drafter.shape.taps)
        places = torch.arange(item[2] - 1, len(tokens) - count - 1, 3, device=tokens.device)
        if len(places):
            found.append(accepted(drafter, tokens, read, places, count))
    drafter.train()
    if not found:
        return [0.0] * count
    lengths = torch.cat(found)
    return [(lengths > i).float().mean().item() for i in range(count)]


def export(drafter: Drafter, target_layers: int, folder: str) -> None:
    """config.json and weights as published drafters have them."""
    os.makedirs(folder, exist_ok=True)
    c, shape = drafter.config, drafter.shape
    checkpoint.write_json(os.path.join(folder, "config.json"), dict(
        architectures=["Qwen3DSparkModel"], model_type="qwen3", num_target_layers=target_layers, block_size=shape.block,
        target_layer_ids=shape.taps, mask_token_id=shape.mask_token, markov_rank=shape.markov_rank, markov_head_type="vanilla",
        enable_confidence_head=shape.confidence, confidence_head_with_markov=shape.markov_rank > 0, draft_tokens=shape.draft_tokens,
        hidden_act="silu", torch_dtype="float32",
        **{name: getattr(c, name) for name in checkpoint.KNOWN if name not in ("model_type", "tie_word_embeddings")}))
    state = {k: v.detach().float().cpu().contiguous() for k, v in drafter.state_dict().items()}
    save_file(state, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def run(args: argparse.Namespace) -> None:
    os.makedirs(args.out, exist_ok=True)
    state_path, saved = os.path.join(args.out, "state.pt"), None
    if args.resume:
        threads = args.threads
        with open(os.path.join(args.out, "arguments.json")) as file:
            args = argparse.Namespace(**{**json.load(file), "resume": True, "out": args.out})
        args.threads = threads or args.threads
        saved = checkpoint.load_state(state_path)
    else:
        checkpoint.write_json(os.path.join(args.out, "arguments.json"), vars(args))
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.cache:
        os.makedirs(args.cache, exist_ok=True)
    torch.manual_seed(args.seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    target = checkpoint.load_folder(args.target).to(device).eval().requires_grad_(False)
    c = target.config
    shape = Shape(
        taps=args.taps or default_taps(c.num_hidden_layers, 5), layers=args.layers, block=args.block, markov_rank=args.markov_rank,
        mask_token=args.mask_token, intermediate_size=args.intermediate)
    texts = Texts(args, target, device)
    texts.refresh()
    if args.vocabulary:
        shape.draft_tokens = saved["draft_tokens"] if saved else texts.frequent(args.vocabulary)
    drafter = Drafter(shape, target).to(device)
    drafter.initialize(args.seed, target)
    optimizers = make_optimizers(drafter, args.optimizer, args.lr, args.adam_lr, 0.01)
    rng, step, tokens_seen, seconds = random.Random(args.seed), 0, 0, 0.0
    if saved:
        drafter.load_state_dict(saved["drafter"])
        for optimizer, state in zip(optimizers, saved["optimizers"]):
            optimizer.load_state_dict(state)
        rng.setstate(saved["rng"])
        step, tokens_seen, seconds = saved["step"], saved["tokens"], saved["seconds"]
    stopping = []
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: stopping.append(True))
    log_path = os.path.join(args.out, "log.csv")
    if not saved:
        with open(log_path, "w", newline="") as file:
            csv.writer(file).writerow(FIELDS)

    def save() -> None:
        checkpoint.save_state(state_path, dict(
            drafter=drafter.state_dict(), draft_tokens=shape.draft_tokens, optimizers=[o.state_dict() for o in optimizers], rng=rng.getstate(), step=step,
            tokens=tokens_seen, seconds=seconds))
        export(drafter, c.num_hidden_layers, os.path.join(args.out, "hf"))

    sums, begin = dict(ce=0.0, tv=0.0, weight=0.0), time.time()
    while step < args.steps and not stopping:
        factor = schedule(step, args.steps, args.warmup, 0.0, "cosine")
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
        for item in rng.sample(texts.items, min(args.batch, len(texts.items))):
            tokens, read = texts.read(item, shape.taps)
            places = torch.tensor(anchors(rng, item[2], len(tokens), args.every), device=device)
            with torch.autocast(device.type, torch.bfloat16, enabled=args.bf16):
                found = losses(drafter, tokens, read, places, args.decay)
            loss = args.cross * found["ce"] + args.distance * found["tv"] + 0.1 * found.get("confidence", 0)
            (loss / found["weight"] / args.batch).backward()
            for name in sums:
                sums[name] += float(found[name].detach())
            tokens_seen += len(tokens)
        torch.nn.utils.clip_grad_norm_(drafter.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        step += 1
        if step % args.test_every == 0 or step == args.steps or stopping:
            shares = test(drafter, texts)
            seconds += time.time() - begin
            begin = time.time()
            row = [step, round(seconds, 1), tokens_seen, factor * args.lr] + [sums[k] / sums["weight"] for k in ("ce", "tv")] + [sum(shares)]
            with open(log_path, "a", newline="") as file:
                csv.writer(file).writerow(row)
            print(f"step {step}, {tokens_seen} tokens, {seconds:.0f} s, ce {row[4]:.3f}, tv {row[5]:.3f}, accepted {row[6]:.3f} "
                  + " ".join(f"{share:.3f}" for share in shares), flush=True)
            plot(os.path.join(args.out, "loss.svg"), [log_path])
            sums = dict(ce=0.0, tv=0.0, weight=0.0)
            save()
            texts.refresh()
    save()


if __name__ == "__main__":
    run(parse())
