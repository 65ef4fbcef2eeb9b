"""Writes the logits that Hugging Face transformers gives for a text, as a reference for `tessera perplexity`.

    python3 Tools/oracle/logits.py MODEL TEXT -o OUT.logits [-n 512]

MODEL is a Hugging Face folder or a .gguf file, which transformers dequantizes to float32. Needs the PyPI
packages torch, transformers, gguf and, for folders, safetensors. The file's layout stands in
Sources/tessera/LogitFile.swift.
"""

import argparse
import struct
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def load(model: Path):
    """Tokenizer and float32 model."""
    folder, options = (model.parent, {"gguf_file": model.name}) if model.suffix == ".gguf" else (model, {})
    tokenizer = AutoTokenizer.from_pretrained(folder, **options)
    return tokenizer, AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **options).eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-n", "--positions", type=int, default=512)
    arguments = parser.parse_args()
    tokenizer, model = load(arguments.model)
    ids = tokenizer(arguments.text.read_text(encoding="utf-8"))["input_ids"][:arguments.positions + 1]
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]])).logits[0].float().numpy()
    header = struct.pack("<8sIII", b"TSRLOGIT", 1, *logits.shape)
    arguments.output.write_bytes(header + struct.pack(f"<{len(ids)}i", *ids) + logits.astype("<f4").tobytes())


if __name__ == "__main__":
    main()
