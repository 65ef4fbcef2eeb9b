"""Hugging Face folders (read, write) and resumable training states."""
import json
import os
import shutil

import torch
from safetensors.torch import load_file, save_file

from model import Config, Llama

KNOWN = ("vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim "
         "max_position_embeddings rms_norm_eps rope_theta rope_scaling tie_word_embeddings attention_bias model_type").split()
TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json",
                   "chat_template.jinja", "vocab.json", "merges.txt", "added_tokens.json"]


def read_config(folder: str) -> Config:
    """Reads config.json of a llama, mistral, qwen2 or qwen3 checkpoint; other fields go to `extra`."""
    with open(os.path.join(folder, "config.json")) as file:
        source = json.load(file)
    kind = source.get("model_type", "llama")
    if kind not in ("llama", "mistral", "qwen2", "qwen3"):
        raise ValueError(f"{folder}/config.json: model_type {kind!r} is not supported; use llama, mistral, qwen2 or qwen3")
    values = {k: source[k] for k in KNOWN if source.get(k) is not None}
    rope = source.get("rope_parameters") or {}
    if "rope_theta" in rope:
        values["rope_theta"] = rope["rope_theta"]
        if rope.get("rope_type", "default") != "default":
            values["rope_scaling"] = rope
    config = Config(**{**dict(tie_word_embeddings=False), **values})
    if "num_key_value_heads" not in source:
        config.num_key_value_heads = config.num_attention_heads
    if source.get("head_dim") is None:
        config.head_dim = config.hidden_size // config.num_attention_heads
    config.attention_bias = source.get("attention_bias", kind == "qwen2")
    config.query_key_norm = kind == "qwen3"
    config.extra = {k: v for k, v in source.items() if k not in KNOWN}
    return config


def load_folder(folder: str, dtype: torch.dtype = torch.float32) -> Llama:
    """A model with the weights of a Hugging Face folder (one or several safetensors files)."""
    model = Llama(read_config(folder))
    tensors: dict = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            tensors.update(load_file(os.path.join(folder, name)))
    if not tensors:
        raise FileNotFoundError(f"{folder} has no .safetensors file")
    missing, unexpected = model.load_state_dict({k: v.to(dtype) for k, v in tensors.items()}, strict=False)
    unexpected = [n for n in unexpected if "rotary_emb" not in n and n != "lm_head.weight"]
    if missing or unexpected:
        raise ValueError(f"{folder}: missing {missing[:3]}, unexpected {unexpected[:3]} (tensor names)")
    return model.to(dtype)


def save_folder(c: Config, state: dict, folder: str, tokenizer_folder: str, sbd: dict | None, end_tokens: list[int],
                dtype: torch.dtype = torch.float32) -> None:
    """Writes what `tessera quantize` imports: config.json with its `sbd` entry, weights, tokenizer files."""
    os.makedirs(folder, exist_ok=True)
    end_token = end_tokens[0] if len(end_tokens) == 1 else end_tokens
    config = dict(c.extra)
    config.update({k: getattr(c, k) for k in KNOWN})
    config.update(hidden_act="silu", eos_token_id=end_token)
    config.pop("rope_parameters", None)
    config.setdefault("architectures", ["LlamaForCausalLM"])
    config.setdefault("bos_token_id", None)
    config["torch_dtype"] = str(dtype).removeprefix("torch.")
    config.pop("sbd", None)
    if sbd:
        config["sbd"] = sbd
    write_json(os.path.join(folder, "config.json"), config)
    tensors = {k: v.detach().to(dtype).cpu().contiguous() for k, v in state.items()}
    save_file(tensors, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    for name in TOKENIZER_FILES:
        source = os.path.join(tokenizer_folder, name)
        if os.path.exists(source) and os.path.abspath(tokenizer_folder) != os.path.abspath(folder):
            shutil.copy(source, os.path.join(folder, name))
    path = os.path.join(folder, "generation_config.json")
    if not os.path.exists(path):
        write_json(path, {"eos_token_id": end_token, "do_sample": False})


def write_json(path: str, value) -> None:
    with open(path, "w") as file:
        json.dump(value, file, indent=2)
        file.write("\n")


def save_state(path: str, state: dict) -> None:
    """Writes a training state next to `path`, then renames: a killed run leaves the older one whole."""
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


def load_state(path: str) -> dict:
    """Reads a state of `save_state` (made by this program: it holds Python objects)."""
    return torch.load(path, map_location="cpu", weights_only=False)
