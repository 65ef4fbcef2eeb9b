"""Turns a GGUF file into a Hugging Face folder that train.py can start from.

    pip install transformers gguf accelerate
    python from_gguf.py SmolLM2-135M-Instruct.Q4_1.gguf models/smollm2

The weights are dequantized to float32: they are only as good as the file's quantization.
"""
import argparse
import os

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf")
    parser.add_argument("folder")
    args = parser.parse_args()
    from transformers import AutoModelForCausalLM, AutoTokenizer
    where, name = os.path.dirname(os.path.abspath(args.gguf)), os.path.basename(args.gguf)
    AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(args.folder)
    model = AutoModelForCausalLM.from_pretrained(where, gguf_file=name).float()
    model.save_pretrained(args.folder, safe_serialization=True)
    print(f"{args.folder}: {model.num_parameters()} parameters")
