"""Endless streams of training examples, with a state that goes into checkpoints."""
import glob
import json
import os
import random
import zlib

import data_math
import families
from sbd import Example

USER, ASSISTANT = "<|user|>", "<|assistant|>"
TEST_SHARE = 50  # one document in so many is held out


class MathStream:
    """Word problems as chats, `free` in their wording or not; trained on the answers."""

    def __init__(self, tokenizer, seed: int, split: str = "train", chat=None, free: bool = False):
        self.tokenizer, self.split, self.rng, self.free = tokenizer, split, random.Random(seed), free
        self.chat = chat or simple_chat(tokenizer)

    def __next__(self) -> Example:
        problem = data_math.generate(self.rng, self.split, free=self.free)
        return self.chat([("user", problem.question), ("assistant", problem.solution)])

    def state(self):
        return self.rng.getstate()

    def restore(self, state) -> None:
        self.rng.setstate(state)


class SheetStream(MathStream):
    """Sheets of bare equations, trained on (and masked in) the results only: dense practice in arithmetic."""

    def __init__(self, tokenizer, seed: int, split: str = "train", lines: int = 8):
        super().__init__(tokenizer, seed, split)
        self.lines, self.newline = lines, tokenizer.encode("\n").ids[-1]

    def __next__(self) -> Example:
        ids, weights = [], []
        while ids.count(self.newline) < self.lines:
            question, result, key = families.equation(self.rng)
            if data_math.in_test_set(key) != (self.split == "test"):
                continue
            for text, weight in ((question + " =", 0.0), (f" {result}.\n", 1.0)):
                part = self.tokenizer.encode(text, add_special_tokens=False).ids
                ids += part
                weights += [weight] * len(part)
        return Example(ids, 0, weights)


class FileStream(MathStream):
    """Documents of *.jsonl files, in random order: {"text"} trained on whole, {"messages"} on the last answer.

    Long texts are cut into pieces of `length` tokens at random offsets.
    """

    def __init__(self, tokenizer, seed: int, folder: str, length: int, end: int, split: str = "train", chat=None):
        super().__init__(tokenizer, seed, split, chat)
        self.length, self.end, self.documents = length, end, []
        for path in sorted(glob.glob(os.path.join(folder, "*.jsonl"))) if os.path.isdir(folder) else [folder]:
            with open(path) as file:
                for line in file:
                    if (zlib.crc32(line.encode()) % TEST_SHARE == 0) == (split == "test"):
                        self.documents.append(json.loads(line))
        if not self.documents:
            raise ValueError(f"{folder}: no documents for the {split} split (*.jsonl with text or messages)")
        self.sizes = [max(1, len(d.get("text", "")) // (4 * length)) for d in self.documents]

    def __next__(self) -> Example:
        [document] = self.rng.choices(self.documents, weights=self.sizes)
        if "messages" in document:
            return self.chat([(m["role"], m["content"]) for m in document["messages"]])
        text = document["text"]
        begin = self.rng.randrange(max(1, len(text) - 4 * self.length)) if len(text) > 6 * self.length else 0
        ids = self.tokenizer.encode(text[begin:begin + 8 * self.length], add_special_tokens=False).ids
        return Example(ids[:self.length] if len(ids) > self.length else ids + [self.end], 0)


class Mixture:
    """Draws from several streams with given weights."""

    def __init__(self, streams: list, weights: list[float], seed: int):
        self.streams, self.weights, self.rng = streams, weights, random.Random(seed)

    def __next__(self) -> Example:
        return next(self.rng.choices(self.streams, weights=self.weights)[0])

    def state(self):
        return self.rng.getstate(), [s.state() for s in self.streams]

    def restore(self, state) -> None:
        self.rng.setstate(state[0])
        for stream, saved in zip(self.streams, state[1]):
            stream.restore(saved)


def simple_chat(tokenizer):
    """The chat form of the models made here: <|user|>...<|assistant|>...<|endoftext|>."""
    end = tokenizer.token_to_id("<|endoftext|>")

    def example(messages: list[tuple[str, str]]) -> Example:
        *before, (_, answer) = messages
        prompt = "".join((USER if role != "assistant" else ASSISTANT) + text + ("<|endoftext|>" if role == "assistant" else "")
                         for role, text in before) + ASSISTANT
        ids = tokenizer.encode(prompt, add_special_tokens=False).ids
        return Example(ids + tokenizer.encode(answer, add_special_tokens=False).ids + [end], len(ids))
    return example


def template_chat(tokenizer, folder: str, end: int):
    """The chat form of a Hugging Face folder's own template (jinja2)."""
    import jinja2
    with open(os.path.join(folder, "tokenizer_config.json")) as file:
        config = json.load(file)
    path = os.path.join(folder, "chat_template.jinja")
    source = open(path).read() if os.path.exists(path) else config["chat_template"]
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(source)
    name = lambda v: v.get("content", "") if isinstance(v, dict) else v or ""
    special = dict(bos_token=name(config.get("bos_token")), eos_token=name(config.get("eos_token")))

    def example(messages: list[tuple[str, str]]) -> Example:
        *before, (_, answer) = messages
        prompt = template.render(messages=[dict(role=r, content=t) for r, t in before], add_generation_prompt=True, **special)
        ids = tokenizer.encode(prompt, add_special_tokens=False).ids
        return Example(ids + tokenizer.encode(answer, add_special_tokens=False).ids + [end], len(ids))
    return example
