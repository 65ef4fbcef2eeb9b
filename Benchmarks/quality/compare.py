"""How far files of every size are from the model they were made from, beside llama.cpp's.

    python3 Benchmarks/quality/compare.py MODEL --text TEXT [--calibrate TEXT] \\
        [--tessera .build/release/tessera] [--llama-quantize llama-quantize] [--json OUT.json]

MODEL is a Hugging Face folder with float weights. Each file is read back, put into the same float32 model and
run over the same tokens, so that only the weights differ. Bits are those of all stored tensors, norms and the tile
table included, per weight. llama.cpp's types get an importance matrix of the calibration text where there is
one. Needs torch, transformers, gguf, numpy.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import peer

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Formats"))
import read_tsr

TYPES = ("Q2_K Q2_K_S IQ2_S IQ2_M IQ3_XXS IQ3_XS IQ3_S IQ3_M Q3_K_S Q3_K_M Q3_K_L IQ4_XS IQ4_NL Q4_0 Q4_1 Q4_K_S "
         "Q4_K_M Q5_0 Q5_1 Q5_K_S Q5_K_M Q6_K Q8_0")
WINDOW = 512


class Judge:
    """Runs weights over tokens and compares with the exact ones."""

    def __init__(self, folder, text, count):
        self.tokenizer = PreTrainedTokenizerFast(tokenizer_file=os.path.join(folder, "tokenizer.json"))
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.state = {n: p.numpy().copy() for n, p in self.model.state_dict().items()
                      if n != "lm_head.weight" or not self.model.config.tie_word_embeddings}
        self.windows = self.cut(text, count)
        self.exact = [self.run(ids) for ids in self.windows]

    def cut(self, text, count):
        with open(text) as file:
            ids = self.tokenizer(file.read())["input_ids"][:count]
        return [torch.tensor([ids[at:at + WINDOW]]) for at in range(0, len(ids) - 1, WINDOW)]

    @torch.no_grad()
    def run(self, ids):
        return torch.log_softmax(self.model(ids).logits[0].double(), -1)

    def load(self, values):
        self.model.load_state_dict({n: torch.from_numpy(np.array(v)).reshape(self.state[n].shape)
                                    for n, v in values.items()}, strict=False)

    def score(self, values):
        """KL divergence, agreement of the likeliest token, perplexity."""
        self.load(values)
        divergence, same, loss, count, scored = 0.0, 0, 0.0, 0, 0
        for ids, exact in zip(self.windows, self.exact):
            got = self.run(ids)
            divergence += float((exact.exp() * (exact - got)).sum())
            same += int((exact.argmax(-1) == got.argmax(-1)).sum())
            loss -= float(got[:-1].gather(1, ids[0, 1:, None]).sum())
            count, scored = count + len(got), scored + len(got) - 1
        return dict(kl=divergence / count, top1=same / count, perplexity=float(np.exp(loss / scored)))

    @torch.no_grad()
    def squares(self, text, count):
        """Mean square of each input column of each matrix over a text."""
        self.load(self.state)
        sums, rows, hooks = {}, {}, []

        def watch(name):
            def hook(_, inputs):
                x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
                sums[name] = sums.get(name, 0) + x.square().sum(0)
                rows[name] = rows.get(name, 0) + len(x)
            return hook
        for name, module in self.model.named_modules():
            if isinstance(module, torch.nn.Linear) and name + ".weight" in self.state:
                hooks.append(module.register_forward_pre_hook(watch(name + ".weight")))
        for ids in self.cut(text, count):
            self.model(ids)
        for hook in hooks:
            hook.remove()
        return {name: (sums[name] / rows[name]).numpy() for name in sums}


def read_ours(path):
    """Values by name, and bytes of all tensors with their part of the tile table."""
    with open(path, "rb") as file:
        data = file.read()
    tensors = read_tsr.read_tensors(data, read_tsr.read_header(data))
    size = sum(t["byteCount"] + 24 * t["tileCount"] for t in tensors)
    return {t["name"]: read_tsr.values(data, t) for t in tensors}, size


def quiet(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        print(f"{' '.join(command)}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}", file=sys.stderr)
    return done.returncode == 0


def candidates(args, judge, folder):
    """(family, name, values, bytes) of every file."""
    ours, theirs, matrix = (os.path.join(folder, n) for n in ("ours.tsr", "theirs.gguf", "imatrix.dat"))

    def make(*options):
        return quiet([args.tessera, "quantize", args.model, "-o", ours, "--force", *options])
    for bits in "4", "8":
        if make("--bits", bits):
            yield "plain", f"--bits {bits}", *read_ours(ours)
    for bits in args.bits.split():
        for codec, suffix in ("zstd", ""), ("trellis", " trellis"):
            coded = ["--bits", bits, "--coded", "--codec", codec]
            if make(*coded):
                yield "coded" + suffix, f"--bits {bits}", *read_ours(ours)
            if args.calibrate and make(*coded, "--calibrate", args.calibrate):
                yield "calibrated" + suffix, f"--bits {bits}", *read_ours(ours)
    if not args.llama_quantize:
        return
    source = os.path.join(folder, "f32.gguf")
    peer.write_gguf(source, judge.model.config, judge.state,
                    judge.tokenizer.convert_ids_to_tokens(range(judge.model.config.vocab_size)))
    if args.calibrate:
        peer.write_imatrix(matrix, judge.squares(args.calibrate, args.tokens))
    for kind in args.types.split():
        for family, options in ("llama.cpp", []), ("llama.cpp imatrix", ["--imatrix", matrix]):
            if options and not args.calibrate:
                continue
            if quiet([args.llama_quantize, *options, source, theirs, kind]):
                yield family, kind, *peer.read_gguf(theirs, judge.state)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--text", required=True, help="what is predicted")
    parser.add_argument("--calibrate", help="another text, for the calibrated files")
    parser.add_argument("--tokens", type=int, default=4096, help="of either text")
    parser.add_argument("--tessera", default=".build/release/tessera")
    parser.add_argument("--llama-quantize")
    parser.add_argument("--bits", default="2.5 3 3.5 4 4.25 4.5 5 5.5 6 7 8")
    parser.add_argument("--types", default=TYPES)
    parser.add_argument("--json", help="write the rows to this file")
    args = parser.parse_args()
    judge = Judge(args.model, args.text, args.tokens)
    weights = sum(v.size for v in judge.state.values())
    rows = []
    print("| file | bits per weight | KL divergence | same top token | perplexity |\n|---|--:|--:|--:|--:|")
    exact = judge.score(judge.state)
    print(f"| exact | 32 | {exact['kl']:.2e} | {exact['top1']:.2%} | {exact['perplexity']:.4f} |")
    with tempfile.TemporaryDirectory() as folder:
        for family, name, values, size in candidates(args, judge, folder):
            row = dict(family=family, name=name, bits=8 * size / weights, **judge.score(values))
            rows.append(row)
            print(f"| {family} {name} | {row['bits']:.3f} | {row['kl']:.2e} | {row['top1']:.2%} | "
                  f"{row['perplexity']:.4f} |", flush=True)
    if args.json:
        with open(args.json, "w") as file:
            json.dump(dict(model=os.path.basename(args.model.rstrip("/")), exact=exact, rows=rows), file, indent=1)


if __name__ == "__main__":
    main()
