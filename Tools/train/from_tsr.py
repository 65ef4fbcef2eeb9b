"""Turns a `.tsr` file of a model made by train.py back into a Hugging Face folder, to train further or to quantize anew.

    python from_tsr.py ../../Sources/tessera/Resources/default.tsr models/default

Weights are as good as the file's: 8 bits made into 8 bits again give the same codes.
"""
import argparse
import os
import sys

import numpy as np
import torch

import checkpoint
from model import Config
from tokenizer import assemble, save_tokenizer

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Formats"))
import read_tsr  # noqa: E402

PLAIN, DIGITS = 1, 2  # pre-tokenizers that the trainer makes, as the format counts them
SPECIAL = 2           # a token's kind


def letters() -> list[str]:
    """The letter that byte-level BPE writes for each byte: itself where it can be seen, else one from 256 on."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte if byte in seen else next(others)) for byte in range(256)]


def read_config(fields: dict) -> Config:
    frequencies = fields["rotaryTables"][0]["inverseFrequencies"]
    theta = frequencies[1] ** (-fields["headDim"] / 2)
    wanted = theta ** (-np.arange(0, fields["headDim"], 2) / fields["headDim"])
    is_plain = len(fields["layers"]) == len(fields["rotaryTables"]) == 1 and fields["modelType"] == "llama"
    if not is_plain or not np.allclose(frequencies, wanted, rtol=1e-5):
        raise SystemExit("from_tsr: only plain Llama models, as train.py makes them, are taken back")
    return Config(
        vocab_size=fields["vocabularySize"], hidden_size=fields["hiddenSize"], intermediate_size=fields["intermediateSize"],
        num_hidden_layers=fields["layerCount"], num_attention_heads=fields["headCount"],
        num_key_value_heads=fields["kvHeadCount"], head_dim=fields["headDim"], max_position_embeddings=fields["maxPositions"],
        rms_norm_eps=float(f"{fields['rmsNormEps']:.6g}"), rope_theta=round(theta, 3), tie_word_embeddings=fields["tieWordEmbeddings"])


def write_tokenizer(tables: dict, folder: str) -> None:
    if tables["preTokenizer"] not in (PLAIN, DIGITS):
        raise SystemExit("from_tsr: the tokenizer has a pattern that train.py does not make")
    letter = letters()
    special = [kind == SPECIAL for kind in tables["kinds"]]
    tokens = [t.decode() if s else "".join(letter[b] for b in t) for t, s in zip(tables["tokens"], special)]
    merges = [(tokens[left], tokens[right]) for left, right, _ in tables["merges"]]
    specials = [t for t, s in zip(tokens, special) if s]
    save_tokenizer(assemble(tokens, merges, specials, digits=tables["preTokenizer"] == DIGITS), folder)


def convert(path: str, folder: str) -> None:
    """Writes the folder and reads it back."""
    with open(path, "rb") as file:
        data = file.read()
    header = read_tsr.read_header(data)
    config_at, tokenizer_at = header["sections"][:2]
    fields = read_tsr.read_config(data, *config_at)
    config = read_config(fields)
    tables = read_tsr.tokenizer_tables(data, *tokenizer_at, config.vocab_size)
    write_tokenizer(tables, folder)
    weights = {}
    for tensor in read_tsr.read_tensors(data, header):
        value = torch.from_numpy(np.ascontiguousarray(read_tsr.values(data, tensor), np.float32))
        weights[tensor["name"]] = value.flatten() if tensor["name"].endswith("norm.weight") else value
    block = fields["blockDecoding"]
    sbd = block and dict(mask_token_id=block["maskToken"], block_size=block["blockSize"])
    checkpoint.save_folder(config, weights, folder, folder, sbd, tables["eos"])
    checkpoint.load_folder(folder)  # all names and shapes fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("out")
    args = parser.parse_args()
    try:
        convert(args.file, args.out)
    except (OSError, read_tsr.Invalid) as error:
        sys.exit(f"from_tsr: {args.file}: {error}")


if __name__ == "__main__":
    main()
