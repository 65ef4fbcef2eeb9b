"""Makes the tokenizer tests' vocabulary and golden ids with Hugging Face's tokenizers.

    python3 Tools/oracle/make_tokenizer_cases.py Tests/TokenizationTests/Resources

One small byte-level vocabulary, trained on the words below, under the pre-tokenizers of SmolLM2, Llama 3,
Qwen 2, GPT-2, Tekken, GPT-4o and Qwen 3.5. check_tokenizers.py does the same with real vocabularies.
"""

import json
import pathlib
import random
import sys

from check_tokenizers import GPT4O, LLAMA3, QWEN2, QWEN35, corpus
from tokenizers import (AddedToken, Regex, Tokenizer, decoders, models, normalizers,
                        pre_tokenizers, trainers)

TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
          r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
WORDS = ("the quick brown fox jumps over a lazy dog while seven wizards count 12 345 stars and they're "
         "sure it's I'll don't we've he'd   def return   print(x)  \n\n  for i in range(10):\n"
         "caf\u00e9 na\u00efve \u4f60\u597d\u4e16\u754c \u0645\u0631\u062d\u0628\u0627 ==== ---- ...").split(" ")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|im_end|>x"]


def pipeline(family):
    byte_level = pre_tokenizers.ByteLevel
    if family == "smollm":
        return [pre_tokenizers.Digits(individual_digits=True),
                byte_level(add_prefix_space=False, use_regex=True)]
    if family == "gpt2":
        return [byte_level(add_prefix_space=False, use_regex=True)]
    pattern = {"llama3": LLAMA3, "qwen2": QWEN2, "tekken": TEKKEN, "gpt4o": GPT4O, "qwen35": QWEN35}[family]
    return [pre_tokenizers.Split(Regex(pattern), "isolated"),
            byte_level(add_prefix_space=False, use_regex=False)]


def base():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    generator = random.Random(3)
    lines = [" ".join(generator.choices(WORDS, k=12)) for _ in range(2000)]
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    return json.loads(tokenizer.to_str())["model"]


def main():
    root = pathlib.Path(sys.argv[1])
    model = base()
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in model["merges"]]
    texts = [text[:120] for text in corpus(SPECIAL, seed=2)]
    generator = random.Random(4)
    texts += [" ".join(generator.choices(WORDS, k=20)) for _ in range(10)]
    cases = {}
    for family in ("smollm", "gpt2", "llama3", "qwen2", "tekken", "gpt4o", "qwen35"):
        bpe = models.BPE(model["vocab"], merges, ignore_merges=family in ("llama3", "tekken"))
        tokenizer = Tokenizer(bpe)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(pipeline(family))
        tokenizer.decoder = decoders.ByteLevel()
        if family.startswith("qwen"):
            tokenizer.normalizer = normalizers.NFC()
        tokenizer.add_special_tokens([AddedToken(s, normalized=False) for s in SPECIAL[:3]])
        tokenizer.add_tokens([AddedToken(SPECIAL[3], normalized=False)])
        folder = root / f"tokenizer-{family}"
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        cases[family] = [tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    (root / "tokenizer-cases.json").write_text(
        json.dumps({"texts": texts, "ids": cases}, ensure_ascii=True, separators=(",", ":")))


if __name__ == "__main__":
    main()
