"""Trains a small model from scratch or fine-tunes a Hugging Face checkpoint for Set Block Decoding.

    python train.py --out runs/trunk --preset tiny --objective ntp --steps 2000 --decay 0
    python train.py --out runs/sbd --from runs/trunk --objective sbd --steps 1000
    python train.py --out runs/sbd --resume

A run folder holds arguments.json, log.csv, loss.svg, state.pt (resume) and hf/ (the model).
"""
import argparse
import csv
import json
import os
import random
import signal
import sys
import time
from contextlib import nullcontext

import numpy as np
import torch
from tokenizers import Tokenizer

import checkpoint
import data_math
from lora import add_lora, merged_state
from model import Config, Llama
from optim import make_optimizers, schedule
from plot import plot
from sbd import Packer, losses, make_batch
from streams import FileStream, MathStream, Mixture, SheetStream, simple_chat, template_chat
from tokenizer import save_tokenizer, train_tokenizer

PRESETS = {
    "tiny": dict(hidden_size=192, num_hidden_layers=4, intermediate_size=512, num_attention_heads=6, num_key_value_heads=3),
    "default": dict(hidden_size=256, num_hidden_layers=6, intermediate_size=768, num_attention_heads=4, num_key_value_heads=2, head_dim=64),
    "large": dict(hidden_size=384, num_hidden_layers=6, intermediate_size=1024, num_attention_heads=6, num_key_value_heads=2, head_dim=64),
}
FIELDS = ["step", "seconds", "tokens", "lr", "ntp", "matp", "test_ntp", "test_matp"]


def parse(argv=None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--out", required=True, help="run folder")
    p.add_argument("--preset", choices=PRESETS, default="tiny", help="shape of a model made from scratch")
    p.add_argument("--init", help="Hugging Face folder to start from (Llama, Mistral, Qwen2, Qwen3)")
    p.add_argument("--from", dest="trunk", help="run folder to branch from: its weights and optimizer state")
    p.add_argument("--resume", action="store_true", help="go on with --out's state")
    p.add_argument("--objective", choices=["sbd", "ntp", "matp-only"], default="sbd")
    p.add_argument("--data", nargs="*", default=["math"], metavar="SOURCE[:WEIGHT]",
                   help="math (word problems), words (more of them, in free wording), sheets (bare sums), or *.jsonl files and folders of them ({text} or {messages} a line)")
    p.add_argument("--mask-token", help="token that serves as the mask when fine-tuning (default: found by itself)")
    p.add_argument("--lora", type=int, default=0, metavar="RANK", help="train adapters of this rank only")
    p.add_argument("--lora-alpha", type=float, default=32)
    p.add_argument("--checkpoint-layers", action="store_true", help="recompute layers in the backward pass: less memory")
    p.add_argument("--steps", type=int, default=2000)
    p.add_argument("--batch", type=int, default=24, help="rows a step")
    p.add_argument("--length", type=int, default=160, help="clean tokens a row")
    p.add_argument("--noised", type=int, default=128, help="noised tokens a row")
    p.add_argument("--blocks", type=int, nargs=2, default=[2, 16], help="smallest and largest block size")
    p.add_argument("--prompt-weight", type=float, default=0.1, help="weight of next-token loss on prompts")
    p.add_argument("--vocabulary", type=int, default=768)
    p.add_argument("--optimizer", choices=["muon", "adamw"], default="muon")
    p.add_argument("--lr", type=float, default=0.02)
    p.add_argument("--adam-lr", type=float, default=3e-3, help="of embeddings and norms, next to muon")
    p.add_argument("--weight-decay", type=float, default=0.0)
    p.add_argument("--clip", type=float, default=1.0)
    p.add_argument("--warmup", type=int, default=50)
    p.add_argument("--decay", type=float, default=0.4, help="share of the steps with falling rate (wsd)")
    p.add_argument("--schedule", choices=["wsd", "cosine"], default="wsd")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--save-minutes", type=float, default=3)
    p.add_argument("--test-every", type=int, default=100)
    p.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    p.add_argument("--compile", action="store_true", help="torch.compile the loss: about 1.4 times faster on a CPU")
    p.add_argument("--threads", type=int, default=0)
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    args = p.parse_args(argv)
    if args.resume:
        with open(os.path.join(args.out, "arguments.json")) as file:
            saved = json.load(file)
        args = argparse.Namespace(**{**saved, "out": args.out, "resume": True, "device": args.device, "threads": args.threads,
                                     "steps": args.steps if "--steps" in (argv or sys.argv) else saved["steps"]})
    return args


class Run:
    """One training run: model, data, optimizers, log."""

    def __init__(self, args: argparse.Namespace):
        self.args = args
        self.hf = os.path.join(args.out, "hf")
        os.makedirs(self.hf, exist_ok=True)
        self.step, self.tokens, self.seconds = 0, 0, 0.0
        self.model, self.tokenizer = self.start()
        self.model.to(args.device)
        self.model.checkpoint_layers = args.checkpoint_layers
        self.ends, self.mask = end_tokens(self.hf, self.tokenizer), find_mask(self.model, self.tokenizer, args.mask_token)
        self.end = self.ends[0]
        if args.lora:
            add_lora(self.model, args.lora, args.lora_alpha, self.mask)
        self.optimizers = make_optimizers(self.model, args.optimizer, args.lr, args.adam_lr, args.weight_decay,
                                         torch.bfloat16 if args.bf16 else torch.float32)
        self.stream = self.open_stream(args.seed, "train")
        self.packer = Packer(self.stream, args.length, args.noised)
        self.rng = np.random.default_rng(args.seed)
        self.flex = args.device.startswith("cuda")
        self.losses = torch.compile(losses) if args.compile else losses
        if args.resume:
            self.restore(checkpoint.load_state(self.path("state.pt")), everything=True)
        elif args.trunk:
            self.restore(checkpoint.load_state(os.path.join(args.trunk, "state.pt")), everything=False)
        self.stop = False

    def open_stream(self, seed: int, split: str):
        """The data that --data names, mixed by weight."""
        own = self.tokenizer.token_to_id("<|assistant|>") is not None
        chat = simple_chat(self.tokenizer) if own else template_chat(self.tokenizer, self.hf, self.end)
        streams, weights = [], []
        for i, source in enumerate(self.args.data):
            name, _, weight = source.partition(":")
            weights.append(float(weight or 1))
            streams.append(MathStream(self.tokenizer, seed + i, split, chat, name == "words") if name in ("math", "words") else
                           SheetStream(self.tokenizer, seed + i, split) if name == "sheets" else
                           FileStream(self.tokenizer, seed + i, name, self.args.length, self.end, split, chat))
        return streams[0] if len(streams) == 1 else Mixture(streams, weights, seed)

    def path(self, name: str) -> str:
        return os.path.join(self.args.out, name)

    def start(self):
        """The model and tokenizer that the run begins with."""
        args = self.args
        source = os.path.join(args.trunk, "hf") if args.trunk else args.init
        if args.resume or source:
            folder = self.hf if args.resume else source
            tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
            if not args.resume:
                copy_tokenizer(folder, self.hf)
            return checkpoint.load_folder(folder), tokenizer
        rng = random.Random(args.seed)
        free = any(source.partition(":")[0] == "words" for source in args.data)
        problems = [data_math.generate(rng, free=free) for _ in range(20000)]
        tokenizer = train_tokenizer((p.question + "\n" + p.solution for p in problems), args.vocabulary)
        save_tokenizer(tokenizer, self.hf)
        model = Llama(Config(vocab_size=tokenizer.get_vocab_size(), **PRESETS[args.preset]))
        model.initialize(args.seed)
        return model, tokenizer

    def restore(self, state: dict, everything: bool) -> None:
        """Continues (`everything`) or branches: weights and optimizer state, with data of its own seed."""
        self.model.load_state_dict(state["model"])
        if state["optimizer_kind"] == self.args.optimizer:
            for optimizer, saved in zip(self.optimizers, state["optimizers"]):
                base = [g["base_lr"] for g in optimizer.param_groups]
                optimizer.load_state_dict(saved)
                for group, lr in zip(optimizer.param_groups, base):
                    group["base_lr"] = lr
        if everything:
            self.stream.restore(state["stream"])
            self.packer.pool = state["pool"]
            self.rng.bit_generator.state = state["rng"]
            self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]

    def save(self) -> None:
        """Writes the state to resume from and the model's Hugging Face folder."""
        checkpoint.save_state(self.path("state.pt"), dict(
            model=self.model.state_dict(), optimizers=[o.state_dict() for o in self.optimizers],
            optimizer_kind=self.args.optimizer, stream=self.stream.state(), pool=self.packer.pool,
            rng=self.rng.bit_generator.state, step=self.step, tokens=self.tokens, seconds=self.seconds))
        sbd = None if self.args.objective == "ntp" else dict(mask_token_id=self.mask, block_size=self.args.blocks[1])
        state = merged_state(self.model) if self.args.lora else self.model.state_dict()
        checkpoint.save_folder(self.model.config, state, self.hf, self.hf, sbd, self.ends)
        if os.path.exists(self.path("log.csv")):
            plot(self.path("loss.svg"), [self.path("log.csv")])

    def batch(self, packer: Packer, rng: np.random.Generator, rows: int):
        """The next batch; one block size a step, uniform as in the paper."""
        args = self.args
        block_size = int(rng.integers(args.blocks[0], args.blocks[1] + 1))
        return make_batch(packer.rows(rows, block_size), args.length, args.noised, block_size, self.end, self.mask, rng,
                          args.prompt_weight, args.objective != "ntp").to(args.device)

    def test(self) -> tuple[float, float]:
        """Losses on the same held-out rows at every call."""
        packer = Packer(self.open_stream(99, "test"), self.args.length, self.args.noised)
        with torch.no_grad():
            ntp, matp = losses(self.model, self.batch(packer, np.random.default_rng(99), 2 * self.args.batch), self.flex)
        return ntp.item(), matp.item()

    def train_step(self) -> tuple[float, float]:
        args = self.args
        factor = schedule(self.step, args.steps, args.warmup, args.decay, args.schedule)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
        batch = self.batch(self.packer, self.rng, args.batch)
        cast = torch.autocast(args.device.split(":")[0], torch.bfloat16) if args.bf16 else nullcontext()
        with cast:
            ntp, matp = self.losses(self.model, batch, self.flex)
        loss = {"sbd": ntp + matp, "ntp": ntp, "matp-only": matp}[args.objective]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), args.clip)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.tokens += int((batch.documents >= 0).sum())
        self.step += 1
        return ntp.item(), matp.item()

    def train(self) -> None:
        args, saved, shown = self.args, time.time(), []
        fresh = not (args.resume and os.path.exists(self.path("log.csv")))
        with open(self.path("log.csv"), "w" if fresh else "a", newline="") as file:
            log = csv.writer(file)
            if fresh:
                log.writerow(FIELDS)
            while self.step < args.steps and not self.stop:
                began = time.time()
                ntp, matp = self.train_step()
                self.seconds += time.time() - began
                shown.append((ntp, matp))
                if self.step % 20 == 0 or self.step == args.steps:
                    test = self.test() if self.step % args.test_every == 0 or self.step == args.steps else ("", "")
                    means = [round(float(np.mean(v)), 5) for v in zip(*shown)]
                    shown = []
                    lr = self.optimizers[0].param_groups[0]["lr"]
                    row = [self.step, round(self.seconds, 1), self.tokens, f"{lr:.3g}", *means,
                           *(round(t, 5) if t != "" else "" for t in test)]
                    log.writerow(row)
                    file.flush()
                    print(*(f"{k} {v}" for k, v in zip(FIELDS, row) if v != ""), flush=True)
                if time.time() - saved > 60 * args.save_minutes:
                    self.save()
                    saved = time.time()
        self.save()


def copy_tokenizer(source: str, target: str) -> None:
    import shutil
    for name in checkpoint.TOKENIZER_FILES:
        path = os.path.join(source, name)
        if os.path.exists(path):
            shutil.copy(path, os.path.join(target, name))


def end_tokens(folder: str, tokenizer: Tokenizer) -> list[int]:
    """Stop tokens of a Hugging Face folder, the one that ends an answer first."""
    ids: list[int] = []
    for name in ("generation_config.json", "config.json"):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path) as file:
                value = json.load(file).get("eos_token_id")
            ids += [] if value is None else value if isinstance(value, list) else [value]
    own = tokenizer.token_to_id("<|endoftext|>")
    return list(dict.fromkeys(ids)) or [own]


def find_mask(model: Llama, tokenizer: Tokenizer, wanted: str | None) -> int:
    """The mask token's id: a named token, a known or reserved one, or a row that no token uses."""
    names = [wanted] if wanted else ["<|mask|>", "<|reserved_special_token_0|>", "<|fim_pad|>", "<empty_output>"]
    for name in names:
        found = tokenizer.token_to_id(name)
        if found is not None:
            return found
    if wanted is None and tokenizer.get_vocab_size() < model.config.vocab_size:
        return tokenizer.get_vocab_size()
    raise ValueError("no token can serve as the mask: name one of the vocabulary with --mask-token")


def begin(run: Run) -> None:
    """Writes the arguments and a first state of a new run."""
    if not run.args.resume:
        with open(run.path("arguments.json"), "w") as file:
            json.dump(vars(run.args), file, indent=2)
        run.save()


def main() -> None:
    args = parse()
    torch.manual_seed(args.seed)
    if args.threads:
        torch.set_num_threads(args.threads)
    os.makedirs(args.out, exist_ok=True)
    run = Run(args)
    begin(run)

    def finish(*_):
        run.stop = True
    signal.signal(signal.SIGTERM, finish)
    signal.signal(signal.SIGINT, finish)
    parameters = sum(p.numel() for p in run.model.parameters())
    print(f"{parameters} parameters, {args.objective}, from step {run.step} to {args.steps} on {args.device}", flush=True)
    run.train()


if __name__ == "__main__":
    main()
