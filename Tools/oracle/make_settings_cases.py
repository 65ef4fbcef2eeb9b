"""Makes golden readings of config.json with Hugging Face's transformers.

    python3 Tools/oracle/make_settings_cases.py Tests/ImportTests/Resources

settings-cases.json: for each config.json the angles per position of its rotated pairs, YaRN's factor, and the
positions that each layer sees (0: all).
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
)


def windows(config):
    layers, window = config.num_hidden_layers, config.sliding_window if hasattr(config, "sliding_window") else None
    if config.model_type == "mistral":
        return [window or 0] * layers
    types = getattr(config, "layer_types", None) or ["full_attention"] * layers
    return [window if kind == "sliding_attention" else 0 for kind in types]


def main():
    cases = []
    for name, settings in CASES.items():
        config = AutoConfig.for_model(**json.loads(json.dumps(settings)))
        with torch.device("cpu"):
            rotary = AutoModelForCausalLM.from_config(config).model.rotary_emb
        cases.append(dict(
            name=name, config=settings, frequencies=[float(x) for x in rotary.inv_freq],
            factor=float(rotary.attention_scaling), windows=windows(config)))
    path = pathlib.Path(sys.argv[1]) / "settings-cases.json"
    path.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
