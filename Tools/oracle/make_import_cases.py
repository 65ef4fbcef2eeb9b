"""Makes the cases of Tests/ImportTests.

    python3 Tools/oracle/make_import_cases.py Tests/ImportTests/Resources

Needs the PyPI packages gguf and numpy. `blocks.bin` holds random blocks of every GGUF tensor type next to the
values that the gguf package decodes them to; `mini.gguf` and `mini/` (two shards) hold the smallest model that
imports, for tests that damage it byte by byte.
"""

import json
import struct
import sys
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

TYPES = ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K",
         "IQ4_NL", "IQ4_XS", "IQ3_XXS", "IQ3_S", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ1_S", "IQ1_M", "MXFP4", "TQ1_0", "TQ2_0"]
BLOCKS = 3
HIDDEN, HEADS, INNER, VOCABULARY = 32, 2, 32, 258


def write_blocks(path: Path, rng: np.random.Generator) -> None:
    """Records of: u8 length and name, u32 blocks bytes, u32 values, the bytes, the values as float32."""
    with open(path, "wb") as file:
        for name in TYPES:
            elements, size = gguf.GGML_QUANT_SIZES[Type[name]]
            while True:
                floats = rng.standard_normal(BLOCKS * 256).astype(np.float32)
                if name in ("F32", "F16", "BF16"):
                    raw = gguf.quants.quantize(floats, Type[name]).view(np.uint8)
                else:
                    raw = rng.integers(0, 256, BLOCKS * size * (256 // elements), dtype=np.uint8)
                typed = raw.view({"F32": np.float32, "F16": np.float16}.get(name, np.uint8))
                values = gguf.quants.dequantize(typed, Type[name])
                values = np.asarray(values, dtype=np.float32).reshape(-1)
                if np.isfinite(values).all():  # random scales may not be
                    break
            file.write(struct.pack("<B", len(name)) + name.encode())
            file.write(struct.pack("<II", raw.size, values.size) + raw.tobytes() + values.astype("<f4").tobytes())


def byte_tokens() -> list[str]:
    """GPT-2's printable stand-ins for the 256 bytes."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return [chr(b) if b in kept else chr(next(spare)) for b in range(256)]


def weights(rng: np.random.Generator) -> dict[str, np.ndarray]:
    half = HIDDEN // HEADS
    shapes = {"model.embed_tokens.weight": (VOCABULARY, HIDDEN), "model.norm.weight": (HIDDEN,)}
    layer = "model.layers.0."
    for name, shape in {
            "input_layernorm": (HIDDEN,), "post_attention_layernorm": (HIDDEN,),
            "self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (half, HIDDEN),
            "self_attn.v_proj": (half, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
            "mlp.gate_proj": (INNER, HIDDEN), "mlp.up_proj": (INNER, HIDDEN),
            "mlp.down_proj": (HIDDEN, INNER)}.items():
        shapes[f"{layer}{name}.weight"] = shape
    # Multiples of 1/64 are exact in every float type.
    return {name: rng.integers(-64, 65, shape).astype(np.float32) / 64 for name, shape in shapes.items()}


def write_gguf(path: Path, tensors: dict[str, np.ndarray]) -> None:
    writer = gguf.GGUFWriter(path, "qwen2")  # no permutation of q and k
    writer.add_name("mini")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(byte_tokens() + ["<|end|>", "ab"])
    writer.add_token_types([1] * 256 + [3, 1])
    writer.add_token_merges(["a b"])
    writer.add_eos_token_id(256)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.QWEN2, 1)
    for name, values in tensors.items():
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight",)), values)
    half = HIDDEN // HEADS
    for part, size in (("q", HIDDEN), ("k", half), ("v", half)):
        writer.add_tensor(f"blk.0.attn_{part}.bias", np.zeros(size, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_safetensors(path: Path, tensors: dict[str, tuple[str, np.ndarray]]) -> None:
    header, data = {}, b""
    for name, (dtype, values) in tensors.items():
        if dtype == "BF16":
            raw = (values.astype("<f4").view(np.uint32) >> 16).astype("<u2").tobytes()
        else:
            raw = values.astype({"F32": "<f4", "F16": "<f2"}[dtype]).tobytes()
        header[name] = dict(dtype=dtype, shape=list(values.shape), data_offsets=[len(data), len(data) + len(raw)])
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_folder(folder: Path, tensors: dict[str, np.ndarray]) -> None:
    folder.mkdir(exist_ok=True)
    half = HIDDEN // HEADS
    tensors = dict(tensors)
    for part, size in (("q", HIDDEN), ("k", half), ("v", half)):
        tensors[f"model.layers.0.self_attn.{part}_proj.bias"] = np.zeros(size, np.float32)
    typed = {name: (("F32", "F16", "BF16")[i % 3], values) for i, (name, values) in enumerate(sorted(tensors.items()))}
    shards, members = {}, list(typed.items())
    for number, part in enumerate((members[:7], members[7:]), 1):
        shard = f"model-{number:05}-of-00002.safetensors"
        write_safetensors(folder / shard, dict(part))
        shards.update({name: shard for name, _ in part})
    index = dict(metadata={}, weight_map=shards)
    config = dict(
        architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_act="silu", hidden_size=HIDDEN,
        intermediate_size=INNER, num_hidden_layers=1, num_attention_heads=HEADS, num_key_value_heads=1,
        max_position_embeddings=64, rms_norm_eps=1e-5, rope_theta=10000.0, vocab_size=VOCABULARY,
        tie_word_embeddings=True, eos_token_id=256)
    split = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|"
             r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    tokenizer = dict(
        version="1.0", normalizer=dict(type="NFC"),
        added_tokens=[dict(id=256, content="<|end|>", single_word=False, lstrip=False, rstrip=False,
                           normalized=False, special=True)],
        pre_tokenizer=dict(type="Sequence", pretokenizers=[
            dict(type="Split", pattern=dict(Regex=split), behavior="Isolated", invert=False),
            dict(type="ByteLevel", add_prefix_space=False, trim_offsets=False, use_regex=False)]),
        decoder=dict(type="ByteLevel"),
        model=dict(type="BPE", byte_fallback=False,
                   vocab={t: i for i, t in enumerate(byte_tokens() + ["<|end|>", "ab"]) if i != 256},
                   merges=["a b"]))
    for name, value in {"config": config, "tokenizer": tokenizer, "model.safetensors.index": index}.items():
        (folder / f"{name}.json").write_text(json.dumps(value))


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(5)
    write_blocks(folder / "blocks.bin", rng)
    tensors = weights(rng)
    write_gguf(folder / "mini.gguf", tensors)
    write_folder(folder / "mini", tensors)


main()
