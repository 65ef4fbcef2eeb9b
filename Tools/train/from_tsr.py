"""Gives a Hugging Face folder the weights of a `.tsr` file, so that train.py can go on from it or `tessera quantize` can make other sizes.

    python from_tsr.py ../../Sources/tessera/Resources/default.tsr tessera-word-problems runs/word-problems

The second argument is a folder with config.json and the tokenizer's files. Weights are as good as the file's: 8 bits
made into 8 bits again give the same codes.
"""
import argparse
import os
import sys

import numpy as np
import torch

import checkpoint

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "Formats"))
import read_tsr  # noqa: E402


def weights(path: str) -> dict[str, torch.Tensor]:
    """Name -> float32 tensor, in the file's own precision."""
    with open(path, "rb") as file:
        data = file.read()
    tensors = read_tsr.read_tensors(data, read_tsr.read_header(data))
    values = {t["name"]: torch.from_numpy(np.ascontiguousarray(read_tsr.values(data, t))) for t in tensors}
    return {name: v.flatten() if name.endswith("norm.weight") else v for name, v in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("folder", help="with config.json and the tokenizer's files")
    parser.add_argument("out")
    args = parser.parse_args()
    config = checkpoint.read_config(args.folder)
    checkpoint.save_folder(config, weights(args.file), args.out, args.folder, config.extra.get("sbd"), [config.extra["eos_token_id"]])
    checkpoint.load_folder(args.out)  # all names and shapes fit


if __name__ == "__main__":
    main()
