"""Makes the SentencePiece vocabularies of the tokenizer tests, and golden ids of sentencepiece and tokenizers.

    python3 Tools/oracle/make_sentencepiece_cases.py Tests/TokenizationTests/Resources

Needs the PyPI packages sentencepiece, protobuf, tokenizers, gguf and numpy. One small BPE vocabulary with byte fallback is trained on the
words of make_tokenizer_cases.py. As GGUF files it is held against sentencepiece: without a space in front, with one,
and with many equal scores. As tokenizer.json files it is held against tokenizers: in the form of Llama 2
(normalizers), of Mistral (Metaspace, in two ways) and of Gemma, with added tokens of every kind.
"""

import io
import json
import pathlib
import random
import sys

import gguf
import sentencepiece
from check_tokenizers import corpus
from make_tokenizer_cases import WORDS
from sentencepiece import sentencepiece_model_pb2 as proto
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers

MARK = "\u2581"
DEFINED = [MARK * 2, MARK * 3, MARK * 4, "\n", "\n\n", "\n\n\n", "\t", "<table>", "</table>", "<ta"]
SPECIAL = ["<s>", "</s>", "[INST]", "[/INST]"]


def trained(dummy_prefix):
    generator = random.Random(3)
    lines = (" ".join(generator.choices(WORDS, k=12)) for _ in range(2000))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=lines, model_writer=model, model_type="bpe", vocab_size=560, byte_fallback=True,
        character_coverage=0.999, normalization_rule_name="identity", remove_extra_whitespaces=False,
        add_dummy_prefix=dummy_prefix, user_defined_symbols=DEFINED, pad_id=-1, minloglevel=2)
    parsed = proto.ModelProto()
    parsed.ParseFromString(model.getvalue())
    return parsed


def with_equal_scores(model):
    """A copy whose scores are rounded, so that places decide."""
    copy = proto.ModelProto()
    copy.CopyFrom(model)
    for piece in copy.pieces:
        if piece.type == proto.ModelProto.SentencePiece.NORMAL:
            piece.score = -float(int(-piece.score) // 12)
    return copy


def write_gguf(model, path):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    pieces = model.pieces
    # As converters do: user-defined tokens hold spaces, and scores of their own.
    defined = [p.type == proto.ModelProto.SentencePiece.USER_DEFINED for p in pieces]
    writer.add_token_list([p.piece.replace(MARK, " ") if d else p.piece for p, d in zip(pieces, defined)])
    writer.add_token_scores([-1000.0 if d else p.score for p, d in zip(pieces, defined)])
    writer.add_token_types([int(p.type) for p in pieces])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_space_prefix(model.normalizer_spec.add_dummy_prefix)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def merges(model):
    """For each way to cut a piece in two, highest score first; pieces of white space before all others."""
    kinds = proto.ModelProto.SentencePiece
    blank = {p.piece for p in model.pieces if p.type == kinds.USER_DEFINED and not p.piece.strip(MARK + "\n\t")}
    scores = {p.piece: p.score for p in model.pieces if p.type == kinds.NORMAL} | {piece: 1.0 for piece in blank}
    pairs = [(-score, -cut, piece[:cut], piece[cut:]) for piece, score in scores.items() for cut in range(1, len(piece))
             if piece[:cut] in scores and piece[cut:] in scores]
    return [(left, right) for _, _, left, right in sorted(pairs)]


def hugging_face(model, family):
    vocabulary = {p.piece: i for i, p in enumerate(model.pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges(model), byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    replace = normalizers.Replace(" ", MARK)
    unmark = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
    strip = [decoders.Strip(" ", 1, 0)]
    if family == "llama2":
        tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend(MARK), replace])
    elif family == "gemma":
        tokenizer.normalizer = replace
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
        strip = []
        tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in DEFINED])
    else:
        scheme = {"mistral": "first", "metaspace": "always"}[family]
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(MARK, prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Sequence(unmark + strip)
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in ["<unk>"] + SPECIAL])
    tokenizer.add_tokens([
        AddedToken("<R>", rstrip=True, normalized=False), AddedToken("<L>", lstrip=True, normalized=False),
        AddedToken("<W>", single_word=True, normalized=False), AddedToken("<N>", normalized=True),
        AddedToken("<LN>", lstrip=True, normalized=True)])
    return tokenizer


def texts():
    generator = random.Random(4)
    chosen = corpus(SPECIAL, seed=2)
    plain = [text[:60] for text in chosen[:26]] + [text[:40] for text in chosen[26::3]]
    plain += [" ".join(generator.choices(WORDS, k=20)) for _ in range(10)]
    plain += ["", "a", " a", "  a", "   a b", "    the  quick", "\n\nthe\n\n\n\nfox\t\tx", "<table><tab</table> <ta x", MARK, MARK + "a",
              f"a{MARK}b {MARK} c", "\u00e9\u00e9 \U0001f600\U0001f600 caf\u00e9", "x\u2581\u2580\u2582y", "the" * 40]
    pieces = SPECIAL + ["<R>", "<L>", "<W>", "<N>", "<LN>", " ", "  ", "\n", "a", "the quick", MARK, "\u4f60", "\u00a0", "_"]
    mixed = ["".join(generator.choice(pieces) for _ in range(generator.randrange(1, 8))) for _ in range(60)]
    return [text for text in plain if "<s>" not in text], mixed


def main():
    root = pathlib.Path(sys.argv[1])
    plain, mixed = texts()
    model, prefixed = trained(False), trained(True)
    cases = {}
    for name, variant in {"plain": model, "prefix": prefixed, "ties": with_equal_scores(model)}.items():
        write_gguf(variant, root / f"sentencepiece-{name}.gguf")
        processor = sentencepiece.SentencePieceProcessor(model_proto=variant.SerializeToString())
        # After a token that it matched itself, sentencepiece puts no space; other programs do.
        wanted = [t for t in plain if name != "prefix" or not any(d.replace(MARK, " ") in " " + t or d in t for d in DEFINED)]
        cases[name] = dict(texts=wanted, ids=[processor.encode(text) for text in wanted])
    for family in ("llama2", "mistral", "metaspace", "gemma"):
        tokenizer = hugging_face(model, family)
        folder = root / f"tokenizer-{family}"
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        wanted = plain + mixed
        cases[family] = dict(texts=wanted, ids=[tokenizer.encode(text, add_special_tokens=False).ids for text in wanted])
    (root / "sentencepiece-cases.json").write_text(json.dumps(cases, ensure_ascii=True, separators=(",", ":")))


if __name__ == "__main__":
    main()
