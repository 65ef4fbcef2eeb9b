"""Compares `tessera tokenize` with Hugging Face's tokenizers on a torture corpus.

    python3 Tools/oracle/check_tokenizers.py --tessera .build/release/tessera \
        smollm=SmolLM2.gguf llama3=ggml-vocab-llama-bpe.gguf qwen2=ggml-vocab-qwen2.gguf

Needs the PyPI packages `tokenizers` and `gguf`, for the family `sentencepiece` also `sentencepiece` and `protobuf`. Each GGUF's
vocabulary is rebuilt as a Hugging Face tokenizer with the pre-tokenizer of its family, or as a SentencePiece model; every
text must give the same ids. Exit status 1 and the first difference where one does not.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile

from gguf import GGUFReader
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
QWEN35 = QWEN2.replace(r"?\p{L}+", r"?[\p{L}\p{M}]+").replace(r"[^\s\p{L}\p{N}]", r"[^\s\p{L}\p{M}\p{N}]")
GPT4O = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
         r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|"
         r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
PATTERNS = {"llama3": LLAMA3, "qwen2": QWEN2, "qwen35": QWEN35, "gpt4o": GPT4O}


def strings(reader, key):
    field = reader.fields[key]
    return [bytes(field.parts[index]).decode() for index in field.data]


def reference(family, path):
    reader = GGUFReader(path)
    tokens = strings(reader, "tokenizer.ggml.tokens")
    types = reader.fields["tokenizer.ggml.token_type"]
    types = [int(types.parts[index][0]) for index in types.data]
    merges = [tuple(merge.split(" ", 1)) for merge in strings(reader, "tokenizer.ggml.merges")]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, ignore_merges=family == "llama3"))
    byte_level = pre_tokenizers.ByteLevel
    if family == "smollm":
        steps = [pre_tokenizers.Digits(individual_digits=True),
                 byte_level(add_prefix_space=False, use_regex=True)]
    else:
        steps = [pre_tokenizers.Split(Regex(PATTERNS[family]), "isolated"),
                 byte_level(add_prefix_space=False, use_regex=False)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    if family.startswith("qwen"):
        tokenizer.normalizer = normalizers.NFC()
    special = [token for token, kind in zip(tokens, types)
               if kind == 3 or kind == 4 and not token.startswith("[PAD")]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in special])
    return tokenizer, special


def sentencepiece_reference(path):
    """A SentencePiece model of the same tokens and scores. Tokens that a converter marks as user-defined have the spaces and no score."""
    from sentencepiece import SentencePieceProcessor
    from sentencepiece import sentencepiece_model_pb2 as proto
    kinds = proto.ModelProto.SentencePiece
    fields = {name: field.contents() for name, field in GGUFReader(path).fields.items() if name.startswith("tokenizer.")}
    tokens, types = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    model = proto.ModelProto()
    for token, kind, score in zip(tokens, types, fields["tokenizer.ggml.scores"]):
        defined = kind == kinds.USER_DEFINED
        model.pieces.add(piece=token.replace(" ", "\u2581"), type=kind, score=0 if defined else score)
    unknown = fields.get("tokenizer.ggml.unknown_token_id", 0)
    model.pieces[unknown].type = kinds.UNKNOWN
    trainer = model.trainer_spec
    trainer.model_type, trainer.byte_fallback, trainer.vocab_size = proto.TrainerSpec.BPE, True, len(tokens)
    trainer.unk_id, trainer.unk_piece = unknown, model.pieces[unknown].piece
    model.normalizer_spec.name = "identity"
    model.normalizer_spec.add_dummy_prefix = fields.get("tokenizer.ggml.add_space_prefix", True)
    model.normalizer_spec.remove_extra_whitespaces = False
    processor = SentencePieceProcessor(model_proto=model.SerializeToString())
    defined = [token for token, kind in zip(tokens, types) if kind == kinds.USER_DEFINED]
    return processor, [] if model.normalizer_spec.add_dummy_prefix else defined


def corpus(special, seed=1):
    """Texts that have broken tokenizers before, and random ones over all planes."""
    generator = random.Random(seed)
    texts = [
        "Hello world", "it's IT'S it'\u017f I'LL we'Re x'd ''s 'S", "  \n  z", "a  b", "x\r\n\r\ny",
        "\u0301e e\u0301 \u1100\u1161\u11a8 \u212b \ufb01", "1 12 123 1234 12345 \u00bd\u2460\u0663",
        "\ufeffb \u200bb \u0085b \u00a0b\u3000b\u180eb", "tab\tand\x0bvt\x0cff \t\n \r \r\n end ",
        "def f(x):\n    return x ** 2  # square\n\n\n\tif True:\n\t\tpass\n",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 \U0001f1eb\U0001f1f7 \u2764\ufe0f\U0001f3fd",
        "\u4f60\u597d\uff0c\u4e16\u754c\u3002\u0928\u092e\u0938\u094d\u0924\u0947 \u0645\u0631\u062d\u0628\u0627",
        "a\x00b\x04c\x1fd\x7f", "!!!???...---===###", " ", "  ", "\n", "\n\n\n", " \n", "\t\t x",
        "x" * 3000, " " * 3000, "ab" * 1500, "\u00e9" * 1000, "0" * 1000, "'" * 50,
    ]
    for token in special[:40]:
        texts.append(f"a{token}b {token} {token}{token}c{token[:-1]}")
    for plane in range(17):
        scalars = [chr(generator.randrange(plane << 16, (plane << 16) + 0x10000))
                   for _ in range(3000)]
        texts.append("".join(c for c in scalars if not 0xD800 <= ord(c) < 0xE000))
    low = [chr(c) for c in range(0x3100)]
    for _ in range(60):
        texts.append("".join(generator.choices(low, k=400)))
    alphabet = list("aZ\u00e9\u4e2d1\u00bd \t\n\r'\u0301.,-_\u00a0\u2009\u017fsStrevmld\U0001f600")
    for _ in range(120):
        texts.append("".join(generator.choices(alphabet, k=300)))
    return texts


def ids(program, model, text):
    with tempfile.NamedTemporaryFile("wb") as file:
        file.write(text.encode())
        file.flush()
        output = subprocess.run([program, "tokenize", model, "-f", file.name, "--json"],
                                check=True, capture_output=True).stdout
    return json.loads(output)["ids"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tessera", default=".build/release/tessera")
    parser.add_argument("models", nargs="+", metavar="FAMILY=GGUF")
    arguments = parser.parse_args()
    failed = False
    for entry in arguments.models:
        family, path = entry.split("=", 1)
        if family == "sentencepiece":
            tokenizer, special = sentencepiece_reference(path)
            encode, name_of = tokenizer.encode, tokenizer.id_to_piece
        else:
            tokenizer, special = reference(family, path)
            encode, name_of = (lambda text, t=tokenizer: t.encode(text, add_special_tokens=False).ids), tokenizer.id_to_token
        texts = corpus(special)
        wrong = 0
        for text in texts:
            ours = ids(arguments.tessera, path, text)
            theirs = encode(text)
            if ours != theirs:
                wrong += 1
                at = next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b),
                          min(len(ours), len(theirs)))
                print(f"{family}: {text[:40]!r}: differs at id {at}: tessera {ours[at:at + 5]}, "
                      f"tokenizers {theirs[at:at + 5]} "
                      f"{[name_of(i) for i in theirs[max(0, at - 2):at + 3]]}")
        print(f"{family}: {len(texts) - wrong} of {len(texts)} texts equal")
        failed |= wrong > 0
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
