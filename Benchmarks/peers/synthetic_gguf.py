"""Writes a GGUF file of random Q4_0 or Q8_0 weights in the shape of a real model, for speed only.

    python3 Benchmarks/peers/synthetic_gguf.py llama-3.1-8b OUT.gguf [--type q4_0|q8_0]

The bytes follow the GGUF v3 layout; only the standard library and NumPy are needed. Block codes are
random bits under a small constant scale, so activations stay finite and no decoder can cheat.
"""

import argparse
import os
import struct

import numpy

SHAPES = {  # architecture, hidden, intermediate, layers, heads, kv heads, head dim, vocabulary, theta
    "llama-3.1-8b": ("llama", 4096, 14336, 32, 32, 8, 128, 128256, 500000.0),
    "qwen3-8b": ("qwen3", 4096, 12288, 36, 32, 8, 128, 151936, 1000000.0),
}
F32, Q4_0, Q8_0 = 0, 2, 8
BLOCK_BYTES = {Q4_0: 18, Q8_0: 34}  # per 32 weights
ALIGNMENT = 32


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def field(key, value):
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    if isinstance(value, float):
        return text(key) + struct.pack("<If", 6, value)
    return text(key) + struct.pack("<II", 4, value)


def tensors(shape, kind):
    """(name, rows, columns, type) in file order."""
    arch, hidden, inner, layers, heads, kv, head_dim, vocabulary, _ = shape
    yield "token_embd.weight", vocabulary, hidden, kind
    for layer in range(layers):
        prefix = f"blk.{layer}."
        yield prefix + "attn_norm.weight", 1, hidden, F32
        yield prefix + "attn_q.weight", heads * head_dim, hidden, kind
        yield prefix + "attn_k.weight", kv * head_dim, hidden, kind
        yield prefix + "attn_v.weight", kv * head_dim, hidden, kind
        yield prefix + "attn_output.weight", hidden, heads * head_dim, kind
        if arch == "qwen3":
            yield prefix + "attn_q_norm.weight", 1, head_dim, F32
            yield prefix + "attn_k_norm.weight", 1, head_dim, F32
        yield prefix + "ffn_norm.weight", 1, hidden, F32
        yield prefix + "ffn_gate.weight", inner, hidden, kind
        yield prefix + "ffn_up.weight", inner, hidden, kind
        yield prefix + "ffn_down.weight", hidden, inner, kind
    yield "output_norm.weight", 1, hidden, F32
    yield "output.weight", vocabulary, hidden, kind


def byte_count(rows, columns, kind):
    return rows * columns * 4 if kind == F32 else rows * columns // 32 * BLOCK_BYTES[kind]


def payload(rows, columns, kind, generator):
    """The tensor's bytes, in chunks of bounded size."""
    if kind == F32:
        yield numpy.ones(rows * columns, "<f4").tobytes()
        return
    blocks = rows * columns // 32
    scale = numpy.frombuffer(numpy.float16(0.006 if kind == Q4_0 else 0.0004).tobytes(), "u1")
    for begin in range(0, blocks, 1 << 20):
        count = min(1 << 20, blocks - begin)
        chunk = generator.integers(0, 256, (count, BLOCK_BYTES[kind]), "u1")
        chunk[:, :2] = scale
        yield chunk.tobytes()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("output")
    parser.add_argument("--type", choices=["q4_0", "q8_0"], default="q4_0")
    arguments = parser.parse_args()
    shape = SHAPES[arguments.shape]
    arch, hidden, inner, layers, heads, kv, head_dim, vocabulary, theta = shape
    kind = Q4_0 if arguments.type == "q4_0" else Q8_0
    fields = {
        "general.architecture": arch,
        "general.name": f"synthetic {arguments.shape}",
        f"{arch}.context_length": 8192,
        f"{arch}.embedding_length": hidden,
        f"{arch}.feed_forward_length": inner,
        f"{arch}.block_count": layers,
        f"{arch}.attention.head_count": heads,
        f"{arch}.attention.head_count_kv": kv,
        f"{arch}.attention.key_length": head_dim,
        f"{arch}.attention.value_length": head_dim,
        f"{arch}.attention.layer_norm_rms_epsilon": 1e-5,
        f"{arch}.rope.freq_base": theta,
        f"{arch}.vocab_size": vocabulary,
        "tokenizer.ggml.model": "none",
    }
    table = list(tensors(shape, kind))
    header = b"GGUF" + struct.pack("<IQQ", 3, len(table), len(fields))
    header += b"".join(field(key, value) for key, value in fields.items())
    offset = 0
    for name, rows, columns, type_id in table:
        sizes = [columns] if rows == 1 else [columns, rows]
        header += text(name) + struct.pack("<I", len(sizes))
        header += b"".join(struct.pack("<Q", size) for size in sizes)
        header += struct.pack("<IQ", type_id, offset)
        offset += -(-byte_count(rows, columns, type_id) // ALIGNMENT) * ALIGNMENT
    header += bytes(-len(header) % ALIGNMENT)

    generator = numpy.random.default_rng(1)
    temporary = arguments.output + ".tmp"
    with open(temporary, "wb") as file:
        file.write(header)
        for _, rows, columns, type_id in table:
            written = 0
            for chunk in payload(rows, columns, type_id, generator):
                file.write(chunk)
                written += len(chunk)
            file.write(bytes(-written % ALIGNMENT))
    os.replace(temporary, arguments.output)


if __name__ == "__main__":
    main()
