"""The same function without the source's grid: a Llama or Gemma 3 GGUF file in floats, its hidden columns in another order.

    python3 Benchmarks/quality/offgrid.py MODEL.gguf OUT.gguf

A quantized file's values lie on a grid, group by group, and an encoding with the same groups finds that grid again.
Such a file would flatter it. Here the columns of the hidden state, of each feed-forward layer and of each value head change places
at random, in all matrices alike. The model computes the same logits, but a group now has values of many grids.
Needs gguf, numpy.
"""
import sys

import gguf
import numpy as np


def copy_fields(reader, writer):
    skip = {"GGUF.version", "GGUF.tensor_count", "GGUF.kv_count", "general.architecture", "general.file_type",
            "general.quantization_version"}
    for field in reader.fields.values():
        if field.name in skip:
            continue
        kind = field.types[0]
        if kind == gguf.GGUFValueType.ARRAY:
            writer.add_key_value(field.name, field.contents(), kind, sub_type=field.types[-1])
        else:
            writer.add_key_value(field.name, field.contents(), kind)


def main(source, out):
    reader = gguf.GGUFReader(source)
    architecture = reader.get_field("general.architecture").contents()
    number = {key: reader.get_field(f"{architecture}.{key}").contents()
              for key in ("embedding_length", "feed_forward_length", "attention.head_count", "attention.head_count_kv")}
    random = np.random.default_rng(1)
    hidden = random.permutation(number["embedding_length"])
    length = reader.get_field(f"{architecture}.attention.value_length")
    size = length.contents() if length else number["embedding_length"] // number["attention.head_count"]
    shared = number["attention.head_count"] // number["attention.head_count_kv"]
    layers = {}

    def orders(layer):
        if layer not in layers:
            heads = [random.permutation(size) for _ in range(number["attention.head_count_kv"])]
            layers[layer] = dict(
                inner=random.permutation(number["feed_forward_length"]),
                value=np.concatenate([head * size + order for head, order in enumerate(heads)]),
                result=np.concatenate([head * size + heads[head // shared]
                                       for head in range(number["attention.head_count"])]))
        return layers[layer]

    writer = gguf.GGUFWriter(out, architecture)
    copy_fields(reader, writer)
    for tensor in reader.tensors:
        value = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        value = value.reshape([int(n) for n in reversed(tensor.shape)])
        parts = tensor.name.split(".")
        order = orders(int(parts[1])) if parts[0] == "blk" else {}
        kind = parts[2] if order else parts[0]
        if kind in ("attn_norm", "ffn_norm", "output_norm", "post_attention_norm", "post_ffw_norm"):
            value = value[hidden]
        elif kind in ("attn_q_norm", "attn_k_norm"):
            pass
        elif kind in ("attn_output", "ffn_down"):
            value = value[hidden][:, order["result" if kind == "attn_output" else "inner"]]
        elif kind in ("ffn_gate", "ffn_up", "attn_v"):
            value = value[order["value" if kind == "attn_v" else "inner"]][:, hidden]
        elif kind in ("attn_q", "attn_k", "token_embd", "output"):
            value = value[:, hidden]
        else:
            sys.exit(f"{tensor.name}: what its columns are is not known")
        writer.add_tensor(tensor.name, np.ascontiguousarray(value))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
