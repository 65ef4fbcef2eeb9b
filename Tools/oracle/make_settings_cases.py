"""Makes golden readings of config.json with Hugging Face's transformers.

    python3 Tools/oracle/make_settings_cases.py Tests/ImportTests/Resources

settings-cases.json: for each config.json its rotary tables (angles per position of rotated pairs, factor on cos and sin),
and of each layer the table (null: no rotation), the positions that it sees (0: all), and its attention scale.
"""

import json
import pathlib
import sys

import torch
from transformers import AutoConfig, AutoModelForCausalLM

BASE = dict(vocab_size=320, hidden_size=64, intermediate_size=96, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, hidden_act="silu", head_dim=32)
YARN = dict(rope_type="yarn", factor=4.0)
THETA = dict(rope_type="default", rope_theta=1e6)


def llama(**changes):
    return dict(BASE, model_type="llama", **changes)


def qwen3(**changes):
    return dict(BASE, model_type="qwen3", **changes)


def qwen2(**changes):
    return dict(BASE, model_type="qwen2", **changes)


def mistral(**changes):
    return dict(BASE, model_type="mistral", **changes)


def gemma(**changes):
    settings = {name: value for name, value in BASE.items() if name != "hidden_act"}
    return dict(settings, model_type="gemma3_text", **changes)


def smollm3(**changes):
    return dict(BASE, model_type="smollm3", **changes)


def granite(**changes):
    return dict(BASE, model_type="granite", **changes)


def olmo3(**changes):
    return dict(BASE, model_type="olmo3", **changes)


def phi3(**changes):
    return dict(dict(BASE, model_type="phi3", hidden_size=128, original_max_position_embeddings=256), **changes)


TYPES = ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]
OLMO_YARN = dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=32, attention_factor=1.2079441541679836,
                 beta_fast=32, beta_slow=1)
CASES = dict(
    plain=llama(), theta=llama(rope_theta=5e5), parameters=qwen3(rope_parameters=THETA),
    linear=llama(rope_scaling=dict(type="linear", factor=2.0), rope_theta=1e5),
    scaling_beside_parameters=qwen3(
        rope_theta=1e6, rope_parameters=THETA, rope_scaling=dict(YARN, original_max_position_embeddings=64)),
    scaling_with_theta_beside_parameters=qwen3(
        rope_parameters=THETA, rope_scaling=dict(YARN, rope_theta=1e5, original_max_position_embeddings=64)),
    empty_scaling_beside_parameters=qwen3(rope_parameters=THETA, rope_scaling={}),
    null_scaling_beside_parameters=qwen3(rope_parameters=THETA, rope_scaling=None),
    both_types=llama(rope_scaling=dict(YARN, type="linear", original_max_position_embeddings=64)),
    llama3=llama(rope_theta=5e5, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=64)),
    yarn_mscale=llama(rope_scaling=dict(
        YARN, mscale=0.7, mscale_all_dim=0.9, beta_fast=16, beta_slow=2, truncate=False,
        original_max_position_embeddings=64)),
    yarn_null_factor=llama(rope_scaling=dict(
        rope_type="yarn", factor=None, attention_factor=None, original_max_position_embeddings=64)),
    yarn_without_original_and_window=mistral(rope_scaling=YARN, sliding_window=64),
    yarn_without_original_and_window_of_qwen=qwen2(
        rope_scaling=YARN, sliding_window=64, use_sliding_window=True, max_window_layers=2),
    mistral_window=mistral(sliding_window=64), mistral_null_window=mistral(sliding_window=None),
    mistral_without_window=dict(mistral(), max_position_embeddings=8192),
    llama_ignores_window=llama(sliding_window=64), qwen_window_not_used=qwen2(sliding_window=64),
    qwen_window_false=qwen3(sliding_window=64, use_sliding_window=False),
    qwen_window=qwen3(sliding_window=64, use_sliding_window=True, max_window_layers=2),
    qwen_window_beyond_the_layers=qwen3(sliding_window=64, use_sliding_window=True, max_window_layers=4),
    qwen_window_by_default_beyond_the_layers=qwen3(sliding_window=64, use_sliding_window=True),
    qwen_layer_types=qwen3(
        sliding_window=64, use_sliding_window=True, max_window_layers=4,
        layer_types=["full_attention"] * 3 + ["sliding_attention"]),
    # Gemma 3 as its first checkpoints spell it, and as transformers does today; what is left out has usual values.
    gemma=gemma(sliding_window=64, sliding_window_pattern=2, query_pre_attn_scalar=168),
    gemma_bases=gemma(sliding_window=64, rope_theta=5e5, rope_local_base_freq=2e4),
    gemma_stretched=gemma(sliding_window=64, sliding_window_pattern=2, rope_scaling=dict(rope_type="linear", factor=8.0)),
    gemma_parameters=gemma(sliding_window=64, layer_types=TYPES, rope_parameters=dict(
        full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
        sliding_attention=dict(rope_type="default", rope_theta=3e4))),
    gemma_usual_bases=gemma(sliding_window=64, layer_types=TYPES, rope_parameters=dict(
        full_attention=dict(rope_type="default"), sliding_attention=dict(rope_type="default"))),
    smollm3=smollm3(), smollm3_interval=smollm3(no_rope_layer_interval=2), smollm3_list=smollm3(no_rope_layers=[0, 1, 1, 1]),
    smollm3_window=smollm3(no_rope_layers=[1, 0, 1, 0], use_sliding_window=True, sliding_window=64),
    smollm3_window_not_used=smollm3(sliding_window=64),
    granite=granite(attention_multiplier=0.015625), granite_usual=granite(),
    olmo3=olmo3(sliding_window=64, rope_scaling=OLMO_YARN, rope_theta=5e5),
    olmo3_types=olmo3(sliding_window=64, layer_types=TYPES, rope_parameters=dict(
        full_attention=dict(OLMO_YARN, rope_theta=5e5), sliding_attention=dict(rope_type="default", rope_theta=5e5))),
    phi3=phi3(sliding_window=64), phi3_window_of_all=phi3(sliding_window=4096),
    phi3_partial=phi3(partial_rotary_factor=0.75),
    phi3_long=phi3(partial_rotary_factor=0.75, original_max_position_embeddings=64, rope_scaling=dict(
        type="longrope", short_factor=[1.0 + i / 9 for i in range(12)], long_factor=[1.0 + i for i in range(12)])),
)


def table(rotary, kind=""):
    values = getattr(rotary, f"{kind}inv_freq")
    return dict(frequencies=[float(x) for x in values], factor=float(getattr(rotary, f"{kind}attention_scaling")))


def layers(model):
    """The tables, and what each layer has."""
    config, rotary, tables, found = model.config, model.model.rotary_emb, [], []
    for layer, window in zip(model.model.layers, windows(config)):
        kind = "" if hasattr(rotary, "inv_freq") else ("sliding_attention_" if window else "full_attention_")
        one = table(rotary, kind)
        if one not in tables:
            tables.append(one)
        turns = getattr(layer.self_attn, "use_rope", 1)
        found.append(dict(table=tables.index(one) if turns else None, window=window, scale=float(layer.self_attn.scaling)))
    return dict(tables=tables, layers=found)


def windows(config):
    layers, window = config.num_hidden_layers, config.sliding_window if hasattr(config, "sliding_window") else None
    if config.model_type in ("mistral", "phi3"):
        return [window or 0] * layers
    types = getattr(config, "layer_types", None) or ["full_attention"] * layers
    return [window if kind == "sliding_attention" else 0 for kind in types]


def main():
    cases = []
    for name, settings in CASES.items():
        config = AutoConfig.for_model(**json.loads(json.dumps(settings)), pad_token_id=None)
        with torch.device("cpu"):
            model = AutoModelForCausalLM.from_config(config)
        cases.append(dict(name=name, config=settings, **layers(model)))
    path = pathlib.Path(sys.argv[1]) / "settings-cases.json"
    path.write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")


if __name__ == "__main__":
    main()
