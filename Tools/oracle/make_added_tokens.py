"""Makes the golden ids of added tokens with Hugging Face's tokenizers and transformers.

    python3 Tools/oracle/make_added_tokens.py Tests/TokenizationTests/Resources

Each case gives the vocabulary of tokenizer-gpt2 (make_tokenizer_cases.py) some added tokens whose flags
(lstrip, rstrip, single_word, normalized) differ, with and without NFC, in tokenizer.json or in
tokenizer_config.json, and lists texts with their ids.
"""

import itertools
import json
import pathlib
import random
import sys
import tempfile

from tokenizers import Tokenizer
from transformers import AutoTokenizer

FLAGS = ("lstrip", "rstrip", "single_word", "normalized")
PIECES = [" ", "  ", "\n", "\t", "\u00a0", "\u3000", "\u0085", "a", "x1", "_", "-", ".", "\u00e9", "e\u0301", "\u0301",
          "\u200d", "\u4f60", "the quick", "he's", "\u0663", "\u2167", "\u24d0", "\u1100\u1161", "\u212b"]


def token(number, content, special=False, **flags):
    return dict(id=number, content=content, special=special, **{name: flags.get(name, False) for name in FLAGS})


def every_combination(first):
    tokens = []
    for number, values in enumerate(itertools.product((False, True), repeat=4)):
        flags = dict(zip(FLAGS, values))
        letters = "".join(name[0] for name, value in flags.items() if value)
        tokens.append(token(first + number, f"<{letters or 'o'}>", special=number % 3 == 0, **flags))
    return tokens


def words(first):
    """Words, spaces and composed letters; some are the beginning of others."""
    return [
        token(first, "dog", single_word=True, normalized=True), token(first + 1, "dogs", single_word=True),
        token(first + 2, "  ", rstrip=True), token(first + 3, "\u00e9t\u00e9", normalized=True),
        token(first + 4, "e\u0301", normalized=True, single_word=True), token(first + 5, "do", lstrip=True),
        token(first + 6, "\n", lstrip=True, rstrip=True, normalized=True), token(first + 7, "<s>", special=True),
        token(first + 8, "<s>d", special=True, lstrip=True, normalized=True),
    ]


def numbered(tokens, vocabulary):
    """The tokens with the ids that tokenizers gives them: those of the vocabulary, or the next."""
    following = itertools.count(len(vocabulary))
    return [dict(t, id=vocabulary.get(t["content"]) or next(following)) for t in tokens]


def texts(tokens, generator):
    pieces = [t["content"] for t in tokens]
    found = ["", " ", pieces[0], f"a {pieces[0]} \n b", f"{pieces[0]}{pieces[-1]}", f" {pieces[1]}  {pieces[2]} "]
    for _ in range(150):
        count = generator.randrange(1, 9)
        found.append("".join(generator.choice(pieces if generator.random() < 0.45 else PIECES) for _ in range(count)))
    return found


def main():
    root = pathlib.Path(sys.argv[1])
    base = json.loads((root / "tokenizer-gpt2" / "tokenizer.json").read_text())
    first = len(base["model"]["vocab"])
    plain = [token(first + i, f"<{i}>", special=True) for i in range(3)]
    flagged = [dict(t, lstrip=True, rstrip=i > 0, single_word=i > 1, normalized=i > 0) for i, t in enumerate(plain)]
    cases = []
    for name, tokens, decoder in (("combinations", every_combination(first), None), ("words", words(first), None),
                                  ("decoder", plain, flagged)):
        tokens = numbered(tokens, base["model"]["vocab"])
        for normalizer in (None, dict(type="NFC")):
            source = dict(base, added_tokens=tokens, normalizer=normalizer)
            if decoder:
                with tempfile.TemporaryDirectory() as folder:
                    path = pathlib.Path(folder)
                    (path / "tokenizer.json").write_text(json.dumps(source))
                    settings = dict(tokenizer_class="PreTrainedTokenizerFast", added_tokens_decoder={
                        str(t["id"]): {k: v for k, v in t.items() if k != "id"} for t in decoder})
                    (path / "tokenizer_config.json").write_text(json.dumps(settings))
                    tokenizer = AutoTokenizer.from_pretrained(folder)
                    encode = lambda text: tokenizer(text, add_special_tokens=False).input_ids
            else:
                plain_tokenizer = Tokenizer.from_str(json.dumps(source))
                encode = lambda text: plain_tokenizer.encode(text, add_special_tokens=False).ids
            generator = random.Random(7)
            lines = texts(tokens, generator)
            cases.append(dict(
                name=name, normalizer=normalizer, tokens=tokens, decoder=decoder,
                texts=lines, ids=[encode(line) for line in lines]))
    (root / "added-tokens.json").write_text(json.dumps(cases, separators=(",", ":")))


if __name__ == "__main__":
    main()
