"""Makes tiny checkpoints of the published block-diffusion models, and what they must compute.

    python3 Tools/oracle/make_checkpoints.py Tests/DecodingTests/Resources

Needs the PyPI packages torch, transformers, safetensors and tokenizers. For each family a folder like the
published one (config.json, tokenizer.json, tensor names; random weights in bf16, so that the float values are
exact) and `NAME.golden.json` with `NAME.golden.f32`: passes and the logits of some rows, texts and their ids,
and greedy decoding pass by pass. The arithmetic is block_reference's, in float64; it is held against the
transformers class that each family derives from. Prompts are searched until no decision is near.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

from block_reference import NEAR, Decoder, Model, Traits, sight
from make_tiny import SPLIT, byte_alphabet

TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
TEXTS = ["The theTHE iPhone15 costs 1,234.50/\n\nnot\tmore", "it's  DON'T aÀéß\u00e9\u0301 漢字 ½",
         "<s>in a <mask><|im_end|>"]
SHAPE = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=2, vocab_size=288,
             max_position_embeddings=256, hidden_act="silu")
LAST = {284: "<|endoftext|>", 285: "<|im_start|>", 286: "<|im_end|>", 287: "<|MASK|>"}
LIMIT = 64
SHARPNESS = 4  # of the logits, so that confidence falls on both sides of the threshold

FAMILIES = {
    "nemotron": dict(
        config=dict(
            SHAPE, architectures=["NemotronLabsDiffusionModel"], model_type="nemotron_labs_diffusion",
            dlm_paradigm="bidirectional", block_size=32, mask_token_id=100, bos_token_id=1, eos_token_id=11,
            head_dim=16, num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-5,
            attention_bias=False, mlp_bias=False, sliding_window=None, tie_word_embeddings=False,
            rope_parameters=dict(
                rope_type="yarn", rope_theta=10000.0, factor=16.0, beta_fast=4.0, beta_slow=1.0, mscale=1.0,
                mscale_all_dim=1.0, original_max_position_embeddings=16, llama_4_scaling_beta=0.3)),
        traits=Traits(mask=100, block=32, shifted=False, bidirectional=False, threshold=0.9),
        base=(transformers.Ministral3ForCausalLM, transformers.Ministral3Config),
        prefix="encoder.", head="diffusion_head.weight", pattern=TEKKEN,
        specials={0: "<unk>", 1: "<s>", 2: "</s>", 11: "<|im_end|>", 100: "<mask>"}, prompts=[13]),
    "fast-dllm-v2": dict(
        config=dict(
            SHAPE, architectures=["Fast_dLLM_QwenForCausalLM"], model_type="Fast_dLLM_Qwen", bd_size=32,
            mask_token_id=287, bos_token_id=284, eos_token_id=286, num_attention_heads=4,
            num_key_value_heads=1, head_dim=16, rms_norm_eps=1e-6, rope_theta=1000000.0, rope_scaling=None,
            use_sliding_window=False, sliding_window=None, tie_word_embeddings=True),
        traits=Traits(mask=287, block=32, shifted=True, bidirectional=True, threshold=0.9, sub_block=8),
        base=(transformers.Qwen2ForCausalLM, transformers.Qwen2Config),
        prefix="model.", head="lm_head.weight", pattern=SPLIT["qwen2"], specials=LAST, prompts=[32, 37]),
    "sdar": dict(
        config=dict(
            SHAPE, architectures=["SDARForCausalLM"], model_type="sdar", block_size=4, mask_token_id=287,
            bos_token_id=284, eos_token_id=286, num_attention_heads=4, num_key_value_heads=2, head_dim=16,
            rms_norm_eps=1e-6, rope_theta=1000000.0, rope_scaling=None, attention_bias=False,
            tie_word_embeddings=False),
        traits=Traits(mask=287, block=4, shifted=False, bidirectional=True, threshold=0.9),
        base=(transformers.Qwen3ForCausalLM, transformers.Qwen3Config),
        prefix="model.", head="lm_head.weight", pattern=SPLIT["qwen2"], specials=LAST, prompts=[8, 11]),
    "stable-diffcoder": dict(
        config=dict(
            SHAPE, architectures=["StableDiffcoderForCausalLM"], model_type="llama", bos_token_id=0,
            pad_token_id=1, eos_token_id=2, num_attention_heads=2, num_key_value_heads=1, rms_norm_eps=1e-6,
            rope_theta=500000.0, rope_scaling=None, attention_bias=False, mlp_bias=False,
            tie_word_embeddings=False),
        traits=Traits(mask=5, block=4, shifted=False, bidirectional=True, threshold=0.95),
        base=(transformers.LlamaForCausalLM, transformers.LlamaConfig),
        prefix="model.", head="lm_head.weight", pattern=SPLIT["llama-bpe"],
        specials={0: "<s>", 1: "<pad>", 2: "</s>", 5: "<mask>"}, prompts=[8, 11]),
}


# Checkpoints -------------------------------------------------------------------------------------

def random_weights(family, seed):
    """Hugging Face's tensors; attention far from uniform, confidence on both sides of the threshold."""
    torch.manual_seed(seed)
    kind, settings = family["base"]
    base = kind(settings(**family["config"]))
    weights = {}
    for name, value in base.state_dict().items():
        if name.endswith("norm.weight"):
            value = 1 + 0.3 * torch.randn_like(value)
        elif value.dim() == 1:
            value = torch.randn_like(value)
        else:
            value = 1.5 * torch.randn_like(value) / value.shape[1] ** 0.5
        if name == "model.norm.weight":
            value = value * SHARPNESS
        weights[name] = value.bfloat16()
    if family["config"]["tie_word_embeddings"]:
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"]
    return base, weights


def published_name(family, name):
    if name == "lm_head.weight":
        return family["head"]
    return family["prefix"] + name.removeprefix("model.")


def write_tokenizer(folder, family):
    """256 bytes, as many merged pairs as fit, and the specials at their published places."""
    letters, specials, size = "etaoinshr", family["specials"], SHAPE["vocab_size"]
    pairs = [a + b for a in letters for b in letters][:size - 256 - len(specials)]
    free = [index for index in range(size) if index not in specials]
    vocab = dict(zip(byte_alphabet() + pairs, free)) | {text: index for index, text in specials.items()}
    (folder / "tokenizer.json").write_text(json.dumps(dict(
        version="1.0", normalizer=None, post_processor=None, decoder=dict(
            type="ByteLevel", add_prefix_space=False, trim_offsets=False, use_regex=False),
        added_tokens=[dict(id=index, content=text, special=True, single_word=False, lstrip=False,
                           rstrip=False, normalized=False) for index, text in specials.items()],
        pre_tokenizer=dict(type="Sequence", pretokenizers=[
            dict(type="Split", pattern=dict(Regex=family["pattern"]), behavior="Isolated", invert=False),
            dict(type="ByteLevel", add_prefix_space=False, trim_offsets=False, use_regex=False)]),
        model=dict(type="BPE", vocab=vocab, merges=[[p[0], p[1]] for p in pairs])), ensure_ascii=False))


def write_checkpoint(folder, family, weights):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(family["config"], indent=2) + "\n")
    tied = family["config"]["tie_word_embeddings"]
    save_file({published_name(family, name): value.contiguous() for name, value in weights.items()
               if not (tied and name == "lm_head.weight")}, folder / "model.safetensors")
    (folder / "model.safetensors").chmod(0o644)
    write_tokenizer(folder, family)


# What they compute -------------------------------------------------------------------------------

def passes(traits, rng):
    """A causal pass; a prompt with an open block after it; a block that is finished and the next."""
    text = [int(t) for t in rng.integers(110, 280, 80)]
    block = min(traits.block, 8)
    size = traits.block if traits.bidirectional else 1
    mask = [traits.mask] * block
    begin = 32 if traits.bidirectional else 29  # YaRN's original context is 16 positions
    partly = [mask[0], text[begin + 1], *mask[2:]]
    return [
        [dict(committed=text[:begin], open=[], rows=[0, begin - 1], blockSize=1)],
        [dict(committed=text[:begin], open=mask, rows=[begin - 1, begin, begin + block - 1], blockSize=size),
         dict(committed=[], open=partly, rows=[0, block - 1], blockSize=size),
         dict(committed=text[begin:begin + max(size, block)], open=mask[:1], rows=[0, max(size, block)],
              blockSize=size)],
    ]


def scenario_rows(compute, steps):
    past, rows = [], []
    for step in steps:
        tokens = past + step["committed"] + step["open"]
        seen = sight(len(past) + len(step["committed"]), len(step["open"]), step["blockSize"])
        rows.append(compute(tokens, seen)[len(past):][step["rows"]])
        past = past + step["committed"]
    return torch.cat(rows)


def library(base, weights):
    """transformers' own forward pass, float32."""
    base.load_state_dict({name: value.float() for name, value in weights.items()})
    base = base.float().eval()
    base.config._attn_implementation = "eager"

    def compute(tokens, seen):
        bias = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        with torch.no_grad():
            return base(input_ids=torch.tensor([tokens]), attention_mask=bias[None, None]).logits[0].double()

    return compute


def clear(run, length, rng):
    """The first random prompt whose decoding has no near decision."""
    for attempt in range(2000):
        prompt = [int(t) for t in rng.integers(110, 280, length)]
        result, margin, is_telling = run(prompt)
        if margin >= NEAR and is_telling:
            print(f"  prompt {attempt}, margin {margin:.1e}")
            return prompt, result
    raise SystemExit("every prompt has a near decision")


def decodings(model, traits, lengths, rng):
    """Per prompt length: by the checkpoint's threshold and by entropy."""
    results = []
    for length in lengths:
        # Whole blocks, so that the last one is like the others.
        count = LIMIT - length % traits.block if traits.bidirectional else LIMIT
        for gamma in (None, 0.5):
            def run(prompt):
                decoder = Decoder(model, traits)
                trace = decoder.blocks(prompt, count, gamma)
                per_pass = [len(one) for block in trace for one in block]
                # Some passes reveal one position and some several.
                return trace, decoder.margin, 1 in per_pass and max(per_pass) > 2

            prompt, trace = clear(run, length, rng)
            results.append(dict(prompt=prompt, limit=count, gamma=gamma, blocks=trace))
    return results


def golden(family, base, weights, tokenizer):
    renamed = {published_name(family, name): value for name, value in weights.items()}
    model = Model(family["config"], renamed, family["prefix"], family["head"])
    traits, rng = family["traits"], np.random.default_rng(1)
    scenarios = passes(traits, rng)
    exact = torch.cat([scenario_rows(model.logits, steps) for steps in scenarios])
    compute = library(base, weights)
    error = (torch.cat([scenario_rows(compute, steps) for steps in scenarios]) - exact).abs().max()
    print(f"  float32 error of transformers {error:.1e}, logits up to {exact.abs().max():.0f}")
    assert error < 1e-4, "block_reference and transformers differ"

    def next_tokens(prompt):
        decoder = Decoder(model, traits)
        tokens = decoder.next_tokens(prompt, 48)
        return tokens, decoder.margin, len(set(tokens)) > 10

    prompt, tokens = clear(next_tokens, 13, rng)
    return exact, dict(
        scenarios=scenarios, subBlock=traits.sub_block,
        texts=[dict(text=text, ids=tokenizer.encode(text).ids) for text in TEXTS],
        nextTokens=dict(prompt=prompt, tokens=tokens),
        decodings=decodings(model, traits, family["prompts"], rng))


def main():
    folder = Path(sys.argv[1])
    for seed, (name, family) in enumerate(FAMILIES.items()):
        print(name)
        base, weights = random_weights(family, seed)
        write_checkpoint(folder / name, family, weights)
        tokenizer = Tokenizer.from_file(str(folder / name / "tokenizer.json"))
        logits, cases = golden(family, base, weights, tokenizer)
        logits.float().numpy().astype("<f4").tofile(folder / f"{name}.golden.f32")
        (folder / f"{name}.golden.json").write_text(json.dumps(cases, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
