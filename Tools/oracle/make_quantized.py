"""Makes GGUF files in the mixtures of types that people use, out of one that is at hand.

    python3 Tools/oracle/make_quantized.py SOURCE.gguf MIXTURE OUT.gguf [--pad]
    python3 Tools/oracle/make_quantized.py Tests/TransformerTests/Resources/smollm.gguf tiny \\
        Tests/TransformerTests/Resources/quantized.gguf

Needs the PyPI packages gguf and numpy. MIXTURE is Q4_K_M, Q3_K_M, Q2_K, or one type for all matrices (F16, Q5_1, Q6_K ...). As in
llama.cpp, matrices whose columns are no multiple of 256 get another type instead of a K-quant. With --pad, hidden
size and heads are filled up with zeros until there is no such matrix: the model stays the same, and all its matrices are K-quants.

`tiny` takes only the tokenizer from SOURCE: one layer of random weights in every type that is not in the simple tests.

Codes are chosen simply, not well: what is tested is that they survive an import.
"""

import argparse

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

FALLBACK = {"Q2_K": "Q4_0", "Q3_K": "Q4_0", "Q4_K": "Q5_0", "Q5_K": "Q5_1", "Q6_K": "Q8_0"}
# Types of the value and down projections and of the head, then of all others.
MIXTURES = {"Q2_K": ("Q3_K", "Q3_K", "Q6_K", "Q2_K"), "Q3_K_M": ("Q5_K", "Q4_K", "Q6_K", "Q3_K"),
            "Q4_K_M": ("Q6_K", "Q6_K", "Q6_K", "Q4_K"), "Q5_K_M": ("Q6_K", "Q6_K", "Q6_K", "Q5_K")}


def half(x):
    return x.astype(np.float16)


def parts(x, size):  # [blocks, parts, values]
    return x.reshape(-1, 256 // size, size)


def divided(x, by):
    return np.divide(x, by, out=np.zeros_like(x), where=by != 0)


def bytes_of(*fields):
    return np.concatenate([np.ascontiguousarray(f).view(np.uint8).reshape(len(f), -1) for f in fields], axis=1)


def factor(x, most):
    """Half-precision factors of each block's numbers, and these as integers."""
    d = half(np.abs(x).max(1, keepdims=True) / most)
    return d, np.rint(divided(x, np.broadcast_to(d.astype(np.float32), x.shape)))


def affine(x, size, most, largest):
    """Codes 0...most, scales and minimums as integers to `largest`, and their factors."""
    p = parts(x, size)
    low = np.minimum(p.min(2), 0)
    d, scales = factor((p.max(2) - low) / most, largest)
    dmin, minimums = factor(-low, largest)
    unit = (d.astype(np.float32) * scales)[..., None]
    codes = np.rint(divided(p + (dmin.astype(np.float32) * minimums)[..., None], np.broadcast_to(unit, p.shape)))
    return np.clip(codes, 0, most).astype(np.uint8).reshape(-1, 256), scales.astype(np.uint8), minimums.astype(np.uint8), d, dmin


def symmetric(x, most, largest):
    """Codes -most...most - 1 in parts of 16, scales as integers to `largest`, and their factor."""
    p = parts(x, 16)
    at = np.abs(p).argmax(2)[..., None]
    d, scales = factor(np.take_along_axis(p, at, 2)[..., 0] / -most, largest)
    unit = (d.astype(np.float32) * scales)[..., None]
    codes = np.rint(divided(p, np.broadcast_to(unit, p.shape)))
    return (np.clip(codes, -most, most - 1) + most).astype(np.uint8).reshape(-1, 256), scales, d


def pairs(codes):  # 2-bit codes: byte j of each 128 has those of j, j + 32, j + 64, j + 96
    c = codes.reshape(-1, 2, 4, 32)
    return (c[:, :, 0] | c[:, :, 1] << 2 | c[:, :, 2] << 4 | c[:, :, 3] << 6).reshape(-1, 64)


def q2_k(x):
    codes, scales, minimums, d, dmin = affine(x, 16, 3, 15)
    return bytes_of(scales | minimums << 4, pairs(codes), d, dmin)


def q3_k(x):
    codes, scales, d = symmetric(x, 4, 31)
    s = (scales + 32).astype(np.uint8)
    high = np.packbits((codes >> 2).reshape(-1, 8, 32), axis=1, bitorder="little").reshape(-1, 32)
    upper = (s >> 4).reshape(-1, 4, 4)
    packed = np.concatenate([s[:, :8] & 15 | (s[:, 8:] & 15) << 4,
                             upper[:, 0] | upper[:, 1] << 2 | upper[:, 2] << 4 | upper[:, 3] << 6], axis=1)
    return bytes_of(high, pairs(codes & 3), packed, d)


def q45_k(x, bits):
    codes, s, m, d, dmin = affine(x, 32, (1 << bits) - 1, 63)
    packed = np.concatenate([s[:, :4] | (s[:, 4:] >> 4) << 6, m[:, :4] | (m[:, 4:] >> 4) << 6, s[:, 4:] & 15 | (m[:, 4:] & 15) << 4],
                            axis=1)
    c = codes.reshape(-1, 8, 32)
    fifth = [np.packbits(c >> 4, axis=1, bitorder="little").reshape(-1, 32)] if bits == 5 else []
    nibbles = ((c[:, 0::2] & 15) | (c[:, 1::2] & 15) << 4).reshape(-1, 128)
    return bytes_of(d, dmin, packed, *fifth, nibbles)


def q6_k(x):
    codes, scales, d = symmetric(x, 32, 127)
    c = codes.reshape(-1, 2, 4, 32)
    low = np.stack([c[:, :, 0] & 15 | (c[:, :, 2] & 15) << 4, c[:, :, 1] & 15 | (c[:, :, 3] & 15) << 4], axis=2).reshape(-1, 128)
    high = c >> 4
    high = (high[:, :, 0] | high[:, :, 1] << 2 | high[:, :, 2] << 4 | high[:, :, 3] << 6).reshape(-1, 64)
    return bytes_of(low, high, scales.astype(np.int8), d)


K_QUANTS = {"Q2_K": q2_k, "Q3_K": q3_k, "Q4_K": lambda x: q45_k(x, 4), "Q5_K": lambda x: q45_k(x, 5), "Q6_K": q6_k}


def quantized(values, name):
    """The tensor's bytes, [rows, bytes], and its type."""
    if name in K_QUANTS and values.shape[1] % 256:
        name = FALLBACK[name]
    if name not in K_QUANTS:
        return gguf.quants.quantize(values, Type[name]), Type[name]
    raw = np.concatenate([K_QUANTS[name](part) for part in np.array_split(values, max(1, values.size >> 22))])
    raw = raw.reshape(len(values), -1)
    if name in ("Q4_K", "Q6_K", "Q2_K", "Q3_K", "Q5_K"):  # codes were chosen by these very values
        error = np.square(gguf.quants.dequantize(raw[:64], Type[name]) - values[:64]).sum() / max(1e-30, np.square(values[:64]).sum())
        assert error < 0.25, f"{name}: {error}"
    return raw, Type[name]


def type_of(name, mixture):
    if mixture not in MIXTURES:
        return mixture
    value, down, head, other = MIXTURES[mixture]
    kind = {"attn_v": value, "ffn_down": down, "token_embd": head, "output": head}
    # Half of the layers have more bits in these, as in llama.cpp.
    layer = int(name.split(".")[1]) if name.startswith("blk.") else 0
    part = name.split(".")[-2]
    return kind.get(part, other) if layer % 2 == 0 or not name.startswith("blk.") else other


class Padding:
    """Fills a Llama up with zeros; its results stay the same."""

    def __init__(self, fields, on):
        self.hidden, self.heads, self.kv = (
            fields[f"llama.{name}"] for name in ("embedding_length", "attention.head_count", "attention.head_count_kv"))
        self.dim, self.group = self.hidden // self.heads, self.heads // self.kv
        self.on = on
        self.new_hidden, self.new_kv = self.hidden, self.kv
        while on and self.new_hidden % 256:
            self.new_hidden += 1
        while on and self.new_kv * self.group * self.dim % 256:
            self.new_kv += 1
        self.new_heads = self.new_kv * self.group

    def field(self, name, value):
        changed = {"llama.embedding_length": self.new_hidden, "llama.attention.head_count": self.new_heads,
                   "llama.attention.head_count_kv": self.new_kv, "llama.attention.key_length": self.dim,
                   "llama.attention.value_length": self.dim, "llama.rope.dimension_count": self.dim}
        if not self.on:
            return value
        if name == "llama.attention.layer_norm_rms_epsilon":  # the mean square is over more columns
            return value * self.hidden / self.new_hidden
        return changed.get(name, value)

    def tensor(self, name, values):
        if not self.on:
            return values
        sizes = {"attn_q": (self.new_heads * self.dim, self.new_hidden), "attn_k": (self.new_kv * self.dim, self.new_hidden),
                 "attn_v": (self.new_kv * self.dim, self.new_hidden), "attn_output": (self.new_hidden, self.new_heads * self.dim),
                 "ffn_down": (self.new_hidden, values.shape[-1])}
        part = name.split(".")[-2]
        if values.ndim == 1:
            scale = np.float32((self.hidden / self.new_hidden) ** 0.5)
            return np.concatenate([values * scale, np.zeros(self.new_hidden - len(values), np.float32)])
        rows, columns = sizes.get(part, (len(values), self.new_hidden))
        return np.pad(values, ((0, rows - len(values)), (0, columns - values.shape[1])))


TINY = {"embedding_length": 256, "block_count": 1, "feed_forward_length": 256, "attention.head_count": 4,
        "attention.head_count_kv": 2, "attention.key_length": 64, "attention.value_length": 64, "rope.dimension_count": 64}
TINY_TYPES = {"attn_q": (256, "Q4_K"), "attn_k": (128, "Q8_0"), "attn_v": (128, "Q6_K"), "attn_output": (256, "Q3_K"),
              "ffn_gate": (256, "Q4_K"), "ffn_up": (256, "Q5_0"), "ffn_down": (256, "Q2_K")}


def write_tiny(writer, vocabulary):
    rng = np.random.default_rng(3)

    def add(name, rows, kind):
        raw, type_ = quantized((rng.standard_normal((rows, 256)) / 16).astype(np.float32), kind)
        writer.add_tensor(name + ".weight", raw, raw_dtype=type_)

    add("token_embd", vocabulary, "Q5_1")
    add("output", vocabulary, "Q5_K")
    for name, (rows, kind) in TINY_TYPES.items():
        add("blk.0." + name, rows, kind)
    for name in ("blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"):
        writer.add_tensor(name + ".weight", (1 + rng.standard_normal(256) / 8).astype(np.float32))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("mixture")
    parser.add_argument("out")
    parser.add_argument("--pad", action="store_true")
    args = parser.parse_args()
    reader = gguf.GGUFReader(args.source)
    fields = {name: field.contents() for name, field in reader.fields.items()}
    padding = Padding(fields, args.pad)
    writer = gguf.GGUFWriter(args.out, fields["general.architecture"])
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        value = padding.field(name, fields[name])
        if args.mixture == "tiny":
            value = TINY.get(name.partition(".")[2], value)
        writer.add_key_value(name, value, field.types[0],
                             field.types[-1] if len(field.types) > 1 else None)
    if args.pad:
        for name in ("llama.attention.key_length", "llama.attention.value_length"):
            if name not in fields:
                writer.add_key_value(name, padding.dim, gguf.GGUFValueType.UINT32)
    if args.mixture == "tiny":
        write_tiny(writer, len(fields["tokenizer.ggml.tokens"]))
    for tensor in reader.tensors if args.mixture != "tiny" else []:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        values = np.ascontiguousarray(padding.tensor(tensor.name, values))
        if values.ndim == 1 or tensor.name == "rope_freqs.weight":
            writer.add_tensor(tensor.name, values)
        else:
            raw, kind = quantized(values, type_of(tensor.name, args.mixture))
            writer.add_tensor(tensor.name, raw, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main()
